// The relay that reads what the client sends: requests written anew, with headers put in, over TCP or with TLS ended here.
#pragma once

#include <memory>
#include <string>

#include "gateway/http_request.h"
#include "gateway/relay.h"

namespace clawrun::gateway {

// Bytes of one end, whatever they are wrapped in.
class Stream {
 public:
  Stream() = default;
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  struct Moved {
    enum class State : std::uint8_t { kSome, kLater, kEnd, kFailed } state = State::kLater;
    std::size_t size = 0;
  };
  virtual Moved read(char* to, std::size_t size) = 0;
  virtual Moved write(const char* from, std::size_t size) = 0;
  virtual void end_writing() = 0;
  [[nodiscard]] virtual std::string problem() const { return {}; }
};

std::unique_ptr<Stream> plain_stream(int socket);

class HttpRelay final : public Relay {
 public:
  struct Ends {
    std::unique_ptr<Stream> client;
    std::unique_ptr<Stream> server;
  };
  HttpRelay(Ends ends, Meter& meter, HttpRewriter::To to);
  Progress pump(Handler& connection) override;

 private:
  enum class Step : std::uint8_t { kMoved, kStuck, kFailed };
  Step read_requests(Handler& connection);
  Step write_requests();
  Step read_responses(Handler& connection);
  Step write_responses();
  Step flush(Stream& stream, std::string& bytes, std::uint64_t& count);
  Step fail_with(const Stream& stream);

  Ends ends_;
  Meter& meter_;
  HttpRewriter rewriter_;
  std::string in_;    // from the client, not parsed yet
  std::string up_;    // for the server
  std::string down_;  // for the client
  bool client_has_ended_ = false;
  bool server_has_ended_ = false;
  bool is_shut_up_ = false;
};

}  // namespace clawrun::gateway
