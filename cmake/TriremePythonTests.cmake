# trireme_python_tests(LABEL FILE CLASS): every `def test_...` of a unittest file becomes a ctest of its own, with the binary's
# path in TRIREME_BINARY. FILE is a module path from the repository root, such as tests/faults/faults_test.py.
function(trireme_python_tests label file class)
  set(path ${CMAKE_SOURCE_DIR}/${file})
  file(STRINGS ${path} lines REGEX "^    def test_")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  string(REGEX REPLACE "\\.py$" "" module ${file})
  string(REPLACE "/" "." module ${module})
  foreach(line ${lines})
    string(REGEX REPLACE "^    def test_([a-z0-9_]+).*" "\\1" case ${line})
    add_test(NAME ${label}.${case}
      COMMAND ${Python3_EXECUTABLE} -m unittest -v ${module}.${class}.test_${case}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${label}.${case} PROPERTIES LABELS ${label} TIMEOUT 180 SKIP_REGULAR_EXPRESSION "skipped="
      ENVIRONMENT "TRIREME_BINARY=$<TARGET_FILE:trireme>;PYTHONDONTWRITEBYTECODE=1")
  endforeach()
endfunction()
