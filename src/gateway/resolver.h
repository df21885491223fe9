// Names of the outside, asked for only when a connection wants them: c-ares over the loop, with a cache.
#pragma once

#include <ares.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/loop.h"
#include "gateway/rules.h"

namespace clawrun::gateway {

struct Resolution {
  std::vector<Address> addresses;  // empty: it failed
  std::string problem;
};

class Resolver {
 public:
  class Waiter {
   public:
    virtual ~Waiter() = default;
    virtual void on_resolved(const Resolution& resolution) = 0;
  };

  explicit Resolver(Loop& loop);
  ~Resolver();
  Resolver(const Resolver&) = delete;

  // Reads /etc/resolv.conf where no servers are given: before the file system is out of reach.
  Result<> open(const std::vector<Endpoint>& servers);

  // Calls back once, perhaps before it returns.
  void resolve(const std::string& name, Waiter& waiter);
  void forget(Waiter& waiter);

 private:
  struct Known {
    Resolution resolution;
    Clock::time_point until;
  };
  struct Asked {
    Resolver* resolver = nullptr;
    std::string name;
    std::vector<Waiter*> waiters;
  };
  class Socket;

  static void on_socket(void* self, ares_socket_t fd, int readable, int writable);
  static void on_answer(void* asked, int status, int timeouts, ares_addrinfo* result);
  void process(ares_socket_t readable, ares_socket_t writable);
  void arm();
  void remember(const std::string& name, const Resolution& resolution, Clock::duration time);

  Loop& loop_;
  ares_channel channel_ = nullptr;
  Deadline timeout_;
  std::map<ares_socket_t, std::unique_ptr<Socket>> sockets_;
  std::map<std::string, Known, std::less<>> known_;
  std::map<std::string, std::unique_ptr<Asked>, std::less<>> asked_;
};

}  // namespace clawrun::gateway
