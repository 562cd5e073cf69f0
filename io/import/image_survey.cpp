#include "io/import/image_survey.hpp"

#include <nlohmann/json.hpp>

#include "io/import/parallel.hpp"
#include "io/import/together.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;

// Files between two looks at the progress, so that many threads rarely wait for the last of a group.
constexpr std::int64_t group_files = 512;
// What is read for the header: EXIF blocks and colour profiles lie before an image's extents.
constexpr std::int64_t head_bytes = std::int64_t{256} << 10;

struct Seen {
    ImageHeader header;
    std::string bad;  ///< empty: a good file
};

ImageHeader header_of(const std::filesystem::path& path) {
    const PosixFile file(path, PosixFile::Mode::read);
    const std::int64_t size = file.size();
    if (size > head_bytes) {
        std::vector<std::byte> head(static_cast<std::size_t>(head_bytes));
        file.read_at(head, 0);
        try {
            return read_image_header(head, path.string());
        } catch (const DataError&) {
            // The head may be longer than that: the whole file decides.
        }
    }
    return read_image_header(read_image_file(path), path.string());
}

Seen look_at(const std::filesystem::path& path, bool whole) {
    try {
        if (!whole) return {header_of(path), ""};
        const Image image = decode_image(read_image_file(path), path.string());
        return {{image.height, image.width, image.channels > 1}, ""};
    } catch (const DataError& error) {
        return {{}, error.what()};
    }
}

void add(ImageSurvey& survey, std::int64_t file, const Seen& seen) {
    if (!seen.bad.empty()) {
        survey.bad.push_back({file, seen.bad});
        return;
    }
    survey.colour = survey.colour || seen.header.colour;
    if (survey.first < 0) {
        survey.first = file;
        survey.height = seen.header.height;
        survey.width = seen.header.width;
    } else if (survey.first_other < 0 &&
               (seen.header.height != survey.height || seen.header.width != survey.width)) {
        survey.first_other = file;
        survey.other_height = seen.header.height;
        survey.other_width = seen.header.width;
    }
}

json to_json(const ImageSurvey& survey) {
    json bad = json::array();
    for (const ImageSurvey::Bad& one : survey.bad) bad.push_back({one.file, one.message});
    return {{"bad", bad},
            {"colour", survey.colour},
            {"first", {survey.first, survey.height, survey.width}},
            {"other", {survey.first_other, survey.other_height, survey.other_width}}};
}

/// Joins what members found in contiguous shares, in their order: an image of other extents than the first of
/// all is either the first of a share or the first that differs from it.
ImageSurvey joined(const std::vector<std::string>& texts) {
    ImageSurvey total;
    for (const std::string& text : texts) {
        const json said = json::parse(text);
        for (const json& one : said.at("bad"))
            total.bad.push_back({one.at(0).get<std::int64_t>(), one.at(1).get<std::string>()});
        const bool colour = said.at("colour").get<bool>();
        for (const char* which : {"first", "other"}) {
            const auto found = said.at(which).get<std::array<std::int64_t, 3>>();
            if (found[0] >= 0) add(total, found[0], {{found[1], found[2], colour}, ""});
        }
    }
    return total;
}

}  // namespace

std::vector<std::byte> read_image_file(const std::filesystem::path& path) {
    const PosixFile file(path, PosixFile::Mode::read);
    const std::int64_t size = file.size();
    if (size > max_image_file_bytes) {
        throw DataError(fmt::format("{}: has {} bytes, more than the {} that an image may have",
                                    path.string(), size, max_image_file_bytes));
    }
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    file.read_at(bytes, 0);
    return bytes;
}

ImageSurvey survey_images(const std::vector<std::filesystem::path>& files, bool whole,
                          const ImportTeam& team) {
    return joined(together(team, [&] {
        const IndexRange mine = even_piece(static_cast<std::int64_t>(files.size()), team.ranks, team.rank);
        ImageSurvey survey;
        std::vector<Seen> seen;
        for (std::int64_t begin = mine.begin; begin < mine.end; begin += group_files) {
            const IndexRange group{begin, std::min(begin + group_files, mine.end)};
            seen.assign(static_cast<std::size_t>(group.size()), {});
            for_each_index(group, team.threads, [&](std::int64_t file) {
                seen[static_cast<std::size_t>(file - begin)] =
                    look_at(files[static_cast<std::size_t>(file)], whole);
            });
            for (std::int64_t file = group.begin; file < group.end; ++file)
                add(survey, file, seen[static_cast<std::size_t>(file - begin)]);
            if (team.progress) team.progress("looking at images", group.end - mine.begin, mine.size());
        }
        return to_json(survey).dump(-1, ' ', false, json::error_handler_t::replace);
    }));
}

}  // namespace trireme::io
