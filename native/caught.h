// C++ exceptions end where they begin: what calls the addon, Node's C++ and the kernel's threads, expects none.
#pragma once

#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>

namespace forklock {

// What `body` returns, which is a number; -errno for what it throws. What it was about to do is undone by destructors.
template <typename Body>
int caught(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (const std::length_error&) {
    return -E2BIG;
  } catch (const std::system_error& error) {
    return -error.code().value();
  } catch (...) {
    return -EIO;
  }
}

}  // namespace forklock
