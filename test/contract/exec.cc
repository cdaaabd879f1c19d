// A library whose dlopen replaces the process by another program, from the thread that calls it.
#include <unistd.h>

__attribute__((constructor)) static void go() { execl("/bin/sleep", "sleep", "1000", static_cast<char*>(nullptr)); }
