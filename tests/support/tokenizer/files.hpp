// The files beside this one, which make_tokenizer.py has written.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace trireme::test {

inline std::string tokenizer_folder() { return TRIREME_TOKENIZER_FOLDER; }

inline std::string read_test_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " is missing");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

inline std::string tiny_tokenizer() { return read_test_file(tokenizer_folder() + "/tiny.json"); }
inline std::string tokenizer_encodings() { return read_test_file(tokenizer_folder() + "/encodings.json"); }

}  // namespace trireme::test
