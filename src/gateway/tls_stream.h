// A TLS session as a stream.
#pragma once

#include <memory>

#include "gateway/http_relay.h"
#include "gateway/tls.h"

namespace clawrun::gateway {

std::unique_ptr<Stream> tls_stream(TlsKit::Session session);

}  // namespace clawrun::gateway
