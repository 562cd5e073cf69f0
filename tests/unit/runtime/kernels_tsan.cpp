// libgomp's fork and join are invisible to ThreadSanitizer, so every memset and memcpy of oneDNN's threads
// looks like a race with the thread that launched them. What oneDNN calls is therefore not watched; our own
// loops are (runtime/device/cpu/kernel_threads.cpp says their order to ThreadSanitizer). The sanitizer's
// runtime asks for this function by name; other builds never call it.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libdnnl.so\n"; }
