# trireme_box(NAME SOURCES ... DEPENDS ...): one static library a box of the house.
# Headers are included by their path from the repository root: #include "comm/ring.hpp".
function(trireme_box name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(trireme_${name} STATIC ${ARG_SOURCES})
  add_library(Trireme::${name} ALIAS trireme_${name})
  target_include_directories(trireme_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(trireme_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  target_precompile_headers(trireme_${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.hpp)
  # By far the heaviest header, and those who use it do so in many files.
  if("nlohmann_json::nlohmann_json" IN_LIST ARG_PRIVATE_DEPENDS)
    target_precompile_headers(trireme_${name} PRIVATE <nlohmann/json.hpp>)
  endif()
  # Several sources a compiler run where nobody rebuilds one of them: headers and templates are read once.
  set_target_properties(trireme_${name} PROPERTIES UNITY_BUILD ${TRIREME_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()
