#include "io/import/folder_source.hpp"

#include <cstring>

#include "io/import/image_survey.hpp"
#include "io/import/together.hpp"
#include "io/shard_format.hpp"
#include "io/targets.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* remedy = ": replace or remove the file, or leave such files out with --skip-bad";

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// Folders directly in a folder, by name.
std::vector<fs::path> folders_in(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.is_directory() && !is_hidden(entry.path())) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// Files at any depth, by path. Links to folders are not followed: they may lead in a circle.
std::vector<fs::path> files_below(const fs::path& folder) {
    std::vector<fs::path> found;
    for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator();
         ++entry) {
        if (is_hidden(entry->path())) {
            entry.disable_recursion_pending();
        } else if (entry->is_regular_file()) {
            found.push_back(entry->path());
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

Image decoded(const fs::path& path) {
    try {
        return decode_image(read_image_file(path), path.string());
    } catch (const DataError& error) {
        throw DataError(error.what() + std::string(remedy));
    }
}

}  // namespace

FolderSource::FolderSource(const fs::path& folder, const FolderOptions& options, const ImportTeam& team)
    : folder_(folder), options_(options) {
    together(team, [&] {
        try {
            list_parts();
        } catch (const fs::filesystem_error& error) {
            throw DataError(fmt::format("{}: cannot be listed: {}", folder_.string(), error.what()));
        }
        return "";
    });
    survey(team);
}

void FolderSource::list_parts() {
    std::error_code ignored;
    if (!fs::is_directory(folder_, ignored)) {
        throw DataError(fmt::format("{}: there is no such folder: check the path of --source folder:PATH",
                                    folder_.string()));
    }
    if (!fs::is_directory(folder_ / "train", ignored)) {
        list_classes(folder_, "train");
    } else {
        for (const char* part : split_names) {
            if (fs::is_directory(folder_ / part, ignored)) list_classes(folder_ / part, part);
        }
    }
    std::size_t files = 0;
    for (const Part& part : parts_) files += part.samples.size();
    if (files == 0) {
        throw DataError(fmt::format(
            "{}: has no images in folders of their classes: put the images of each class into a folder "
            "of its name, such as {}/cat/1.jpg",
            folder_.string(), folder_.string()));
    }
}

void FolderSource::list_classes(const fs::path& folder, const std::string& name) {
    Part part{name, {}};
    const bool first = parts_.empty();
    for (const fs::path& path : folders_in(folder)) {
        const std::string class_name = path.filename().string();
        if (first) class_names_.push_back(class_name);
        const auto found = std::lower_bound(class_names_.begin(), class_names_.end(), class_name);
        if (found == class_names_.end() || *found != class_name) {
            throw DataError(
                fmt::format("{}: is a class that {} does not have: add it there, or remove it here",
                            path.string(), (folder_ / "train").string()));
        }
        const auto label = static_cast<std::int32_t>(found - class_names_.begin());
        for (fs::path& file : files_below(path)) part.samples.push_back({std::move(file), label});
    }
    parts_.push_back(std::move(part));
}

void FolderSource::survey(const ImportTeam& team) {
    std::vector<fs::path> files;
    std::string list;
    for (const Part& part : parts_) {
        for (const Sample& sample : part.samples) {
            files.push_back(sample.path);
            list += sample.path.string() + '\n';
        }
    }
    const std::string digest = hex64(xxh3(list));
    for (const std::string& other : together(team, [&] { return digest; })) {
        if (other != digest) {
            throw DataError(
                fmt::format("{}: ranks see different files in it: wait until it no longer changes, and "
                            "check that all hosts see the same folder",
                            folder_.string()));
        }
    }
    const ImageSurvey found = survey_images(files, options_.skip_bad, team);
    if (!options_.skip_bad && !found.bad.empty()) throw DataError(found.bad.front().message + remedy);
    if (found.first < 0) {
        throw DataError(fmt::format("{}: none of its {} files is an image that can be decoded; the first: {}",
                                    folder_.string(), files.size(), found.bad.front().message));
    }
    if (!options_.size && found.first_other >= 0) {
        throw DataError(
            fmt::format("{}: is {}x{}, but {} is {}x{} (height x width): all images must have one size; give "
                        "--size HxW to "
                        "resize them",
                        files[static_cast<std::size_t>(found.first_other)].string(), found.other_height,
                        found.other_width, files[static_cast<std::size_t>(found.first)].string(),
                        found.height, found.width));
    }
    size_ = options_.size.value_or(ImageSize{found.height, found.width});
    channels_ = found.colour ? 3 : 1;
    std::vector<bool> bad(files.size());
    for (const ImageSurvey::Bad& one : found.bad) {
        bad[static_cast<std::size_t>(one.file)] = true;
        skipped_.push_back(one.message);
    }
    std::size_t file = 0;
    for (Part& part : parts_) {
        std::erase_if(part.samples, [&](const Sample&) { return bad[file++]; });
    }
}

std::string FolderSource::description() const {
    const fs::path name = folder_.filename().empty() ? folder_.parent_path().filename() : folder_.filename();
    std::string text = fmt::format("folder:{}", name.string());
    if (!skipped_.empty()) text += fmt::format(" ({} bad files left out)", skipped_.size());
    return text;
}

std::vector<SourcePart> FolderSource::parts() const {
    std::vector<SourcePart> list;
    for (const Part& part : parts_)
        list.push_back({part.name, static_cast<std::int64_t>(part.samples.size())});
    return list;
}

std::int32_t FolderSource::label(std::size_t part, std::int64_t index) const {
    return parts_.at(part).samples.at(static_cast<std::size_t>(index)).label;
}

void FolderSource::read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                        std::span<std::byte> target) const {
    const Sample& sample = parts_.at(part).samples.at(static_cast<std::size_t>(index));
    Image image = with_channels(decoded(sample.path), static_cast<int>(channels_));
    if (options_.size) image = fitted(image, size_.height, size_.width);
    if (image.height != size_.height || image.width != size_.width || image.pixels.size() != x.size()) {
        throw DataError(fmt::format(
            "{}: is {}x{} where its head said {}x{}: was the file changed? Start again, or give --size HxW",
            sample.path.string(), image.height, image.width, size_.height, size_.width));
    }
    std::memcpy(x.data(), image.pixels.data(), x.size());
    store_class(sample.label, target);
}

}  // namespace trireme::io
