#include "io/hdf5/file.hpp"
#include "io/hdf5/types.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io::hdf5 {
namespace {

// More than any attribute of ours needs; what a damaged file claims beyond it is refused before it is
// allocated.
constexpr std::size_t max_elements = 1 << 20;
constexpr std::size_t max_text_bytes = 1 << 16;
constexpr std::size_t max_total_bytes = std::size_t{1} << 26;

template <class T>
Handle simple_space(const std::vector<T>& values, const Place& place) {
    const hsize_t extent = values.size();
    return own(H5Screate_simple(1, &extent, nullptr), place, "make a data space");
}

std::string unpadded(const char* text, std::size_t bytes) {
    std::size_t length = bytes;
    while (length > 0 && text[length - 1] == '\0') --length;
    return {text, length};
}

}  // namespace

Place Attributes::at(const std::string& name) const {
    return {place_.file, (place_.object.empty() ? "" : place_.object + ": ") + "attribute " + name};
}

void Attributes::put(const std::string& name, hid_t type, hid_t space, const void* data) const {
    const Place place = at(name);
    const Handle attribute =
        own(H5Acreate2(object_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), place, "create it");
    check(H5Awrite(attribute.id(), type, data), place, "write it");
}

void Attributes::put_text(const std::string& name, const std::string& value) const {
    const Guard guard;
    const std::string padded = value.empty() ? std::string(1, '\0') : value;
    const Handle space = own(H5Screate(H5S_SCALAR), at(name), "make a data space");
    put(name, text_type(padded.size()).id(), space.id(), padded.data());
}

void Attributes::put_texts(const std::string& name, const std::vector<std::string>& values) const {
    const Guard guard;
    std::size_t width = 1;
    for (const std::string& value : values) width = std::max(width, value.size());
    std::string joined(width * std::max<std::size_t>(values.size(), 1), '\0');
    for (std::size_t i = 0; i < values.size(); ++i) joined.replace(i * width, values[i].size(), values[i]);
    put(name, text_type(width).id(), simple_space(values, at(name)).id(), joined.data());
}

void Attributes::put_int(const std::string& name, std::int64_t value) const {
    const Guard guard;
    const Handle space = own(H5Screate(H5S_SCALAR), at(name), "make a data space");
    put(name, H5T_STD_I64LE, space.id(), &value);
}

void Attributes::put_unsigned(const std::string& name, std::uint64_t value) const {
    const Guard guard;
    const Handle space = own(H5Screate(H5S_SCALAR), at(name), "make a data space");
    put(name, H5T_STD_U64LE, space.id(), &value);
}

void Attributes::put_ints(const std::string& name, const std::vector<std::int64_t>& values) const {
    const Guard guard;
    const std::int64_t none = 0;
    put(name, H5T_STD_I64LE, simple_space(values, at(name)).id(), values.empty() ? &none : values.data());
}

void Attributes::put_doubles(const std::string& name, const std::vector<double>& values) const {
    const Guard guard;
    const double none = 0;
    put(name, H5T_IEEE_F64LE, simple_space(values, at(name)).id(), values.empty() ? &none : values.data());
}

bool Attributes::has(const std::string& name) const {
    const Guard guard;
    return check(H5Aexists(object_, name.c_str()), at(name), "look for it") > 0;
}

Handle Attributes::open(const std::string& name) const {
    if (!has(name)) {
        throw DataError(fmt::format("{}: is missing: the file is damaged or not one of ours; import again",
                                    at(name).str()));
    }
    return own(H5Aopen(object_, name.c_str(), H5P_DEFAULT), at(name), "open it");
}

std::size_t Attributes::count(hid_t attribute, const std::string& name, H5T_class_t wanted) const {
    const Handle type = own(H5Aget_type(attribute), at(name), "read its type");
    const Handle space = own(H5Aget_space(attribute), at(name), "read its extent");
    const hssize_t elements = check(H5Sget_simple_extent_npoints(space.id()), at(name), "read its extent");
    if (H5Tget_class(type.id()) != wanted || static_cast<std::size_t>(elements) > max_elements) {
        throw DataError(
            fmt::format("{}: has another type or size than the format says: the file is damaged or "
                        "not one of ours; import again",
                        at(name).str()));
    }
    return static_cast<std::size_t>(elements);
}

std::vector<std::string> Attributes::texts(const std::string& name) const {
    const Guard guard;
    const Handle attribute = open(name);
    const std::size_t n = count(attribute.id(), name, H5T_STRING);
    const Handle type = own(H5Aget_type(attribute.id()), at(name), "read its type");
    const std::size_t width = H5Tget_size(type.id());
    if (H5Tis_variable_str(type.id()) != 0 || width > max_text_bytes || width * n > max_total_bytes) {
        throw DataError(
            fmt::format("{}: is not fixed-length text of a sensible size: the file is damaged or not "
                        "one of ours; import again",
                        at(name).str()));
    }
    std::string joined(width * n, '\0');
    if (n > 0) check(H5Aread(attribute.id(), text_type(width).id(), joined.data()), at(name), "read it");
    std::vector<std::string> values;
    for (std::size_t i = 0; i < n; ++i) values.push_back(unpadded(joined.data() + i * width, width));
    return values;
}

std::string Attributes::text(const std::string& name) const {
    std::vector<std::string> values = texts(name);
    if (values.size() != 1) throw DataError(fmt::format("{}: is not one text", at(name).str()));
    return std::move(values.front());
}

std::vector<std::int64_t> Attributes::ints(const std::string& name) const {
    const Guard guard;
    const Handle attribute = open(name);
    std::vector<std::int64_t> values(count(attribute.id(), name, H5T_INTEGER));
    if (!values.empty()) check(H5Aread(attribute.id(), H5T_NATIVE_INT64, values.data()), at(name), "read it");
    return values;
}

std::int64_t Attributes::integer(const std::string& name) const {
    const std::vector<std::int64_t> values = ints(name);
    if (values.size() != 1) throw DataError(fmt::format("{}: is not one number", at(name).str()));
    return values.front();
}

std::uint64_t Attributes::unsigned_integer(const std::string& name) const {
    const Guard guard;
    const Handle attribute = open(name);
    std::uint64_t value = 0;
    if (count(attribute.id(), name, H5T_INTEGER) != 1) {
        throw DataError(fmt::format("{}: is not one number", at(name).str()));
    }
    check(H5Aread(attribute.id(), H5T_NATIVE_UINT64, &value), at(name), "read it");
    return value;
}

std::vector<double> Attributes::doubles(const std::string& name) const {
    const Guard guard;
    const Handle attribute = open(name);
    std::vector<double> values(count(attribute.id(), name, H5T_FLOAT));
    if (!values.empty())
        check(H5Aread(attribute.id(), H5T_NATIVE_DOUBLE, values.data()), at(name), "read it");
    return values;
}

}  // namespace trireme::io::hdf5
