#include "gateway/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>

namespace clawrun::gateway {

namespace {

template <typename T, void (*kFree)(T*)>
struct FreeWith {
  void operator()(T* object) const { kFree(object); }
};
template <typename T, void (*kFree)(T*)>
using Owned = std::unique_ptr<T, FreeWith<T, kFree>>;

void free_bio(BIO* bio) {
  BIO_free(bio);
}
using Bio = Owned<BIO, free_bio>;
using Certificate = Owned<X509, X509_free>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;

constexpr long kValidSeconds = 30L * 24 * 3600;
constexpr long kClockSkewSeconds = 3600;
constexpr unsigned char kHttp1[] = "\x08http/1.1";

Failure failed(std::string_view doing) {
  char text[256] = "no reason is given";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return fail(ErrorKind::kInvalid, std::string(doing) + ": " + text);
}

Bio memory(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

bool add_extension(X509& certificate, X509& issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

Certificate make_leaf(X509& authority, EVP_PKEY& authority_key, EVP_PKEY& key, const std::string& name) {
  Certificate leaf(X509_new());
  std::uint64_t serial = 0;
  if (!leaf || RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return nullptr;
  const bool made = X509_set_version(leaf.get(), X509_VERSION_3) == 1 &&
                    ASN1_INTEGER_set_uint64(X509_get_serialNumber(leaf.get()), serial >> 1U) == 1 &&
                    X509_gmtime_adj(X509_getm_notBefore(leaf.get()), -kClockSkewSeconds) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(leaf.get()), kValidSeconds) != nullptr &&
                    X509_set_pubkey(leaf.get(), &key) == 1 &&
                    X509_set_issuer_name(leaf.get(), X509_get_subject_name(&authority)) == 1 &&
                    // The name is of the name's syntax (canonical_name): nothing in it means anything here.
                    add_extension(*leaf, authority, NID_subject_alt_name, "critical,DNS:" + name) &&
                    add_extension(*leaf, authority, NID_basic_constraints, "critical,CA:FALSE") &&
                    add_extension(*leaf, authority, NID_key_usage, "critical,digitalSignature") &&
                    add_extension(*leaf, authority, NID_ext_key_usage, "serverAuth") &&
                    add_extension(*leaf, authority, NID_authority_key_identifier, "keyid,issuer") &&
                    X509_sign(leaf.get(), &authority_key, EVP_sha256()) > 0;
  return made ? std::move(leaf) : nullptr;
}

int choose_http1(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered, unsigned offered_size,
                 void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, kHttp1, sizeof kHttp1 - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

std::unique_ptr<SSL_CTX, TlsKit::Free> new_context(const SSL_METHOD* method) {
  std::unique_ptr<SSL_CTX, TlsKit::Free> context(SSL_CTX_new(method));
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // Servers that end without close_notify are common; HTTP's own framing tells a cut body.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION);
  return context;
}

Result<> load_trust(SSL_CTX& context, const std::string& pem) {
  X509_STORE* store = SSL_CTX_get_cert_store(&context);
  const Bio bio = memory(pem);
  int count = 0;
  while (const Certificate root{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    count += X509_STORE_add_cert(store, root.get());
  ERR_clear_error();  // the end of the file is one
  if (count == 0) return fail(ErrorKind::kInvalid, "the trust store holds no certificate");
  return {};
}

}  // namespace

Result<TlsKit> TlsKit::make(const TlsFiles& files, const std::vector<std::string>& names) {
  TlsKit kit;
  const Bio certificate_bio = memory(files.authority_certificate);
  const Bio key_bio = memory(files.authority_key);
  const Certificate authority(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr));
  if (!authority) return failed("reading the sandbox's certificate authority");
  const Key authority_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!authority_key || X509_check_private_key(authority.get(), authority_key.get()) != 1)
    return failed("reading the key of the sandbox's certificate authority");
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a key");
  for (const std::string& name : names) {
    auto context = new_context(TLS_server_method());
    const Certificate leaf = make_leaf(*authority, *authority_key, *key, name);
    if (!context || !leaf || SSL_CTX_use_certificate(context.get(), leaf.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
      return failed("making a certificate for " + name);
    SSL_CTX_set_alpn_select_cb(context.get(), choose_http1, nullptr);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    kit.for_clients_[name] = std::move(context);
  }
  kit.for_hosts_ = new_context(TLS_client_method());
  if (!kit.for_hosts_) return failed("preparing TLS");
  SSL_CTX_set_verify(kit.for_hosts_.get(), SSL_VERIFY_PEER, nullptr);
  (void)SSL_CTX_set_alpn_protos(kit.for_hosts_.get(), kHttp1, sizeof kHttp1 - 1);
  TRY(load_trust(*kit.for_hosts_, files.trust));
  return kit;
}

TlsKit::Session TlsKit::towards_client(std::string_view certificate_name, int socket) const {
  const auto context = for_clients_.find(certificate_name);
  if (context == for_clients_.end()) return nullptr;
  Session session(SSL_new(context->second.get()));
  if (!session || SSL_set_fd(session.get(), socket) != 1) return nullptr;
  SSL_set_accept_state(session.get());
  return session;
}

TlsKit::Session TlsKit::towards_host(const std::string& host, int socket) const {
  Session session(SSL_new(for_hosts_.get()));
  if (!session || SSL_set_fd(session.get(), socket) != 1 ||
      SSL_ctrl(session.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str())) != 1 ||
      SSL_set1_host(session.get(), host.c_str()) != 1)
    return nullptr;
  SSL_set_hostflags(session.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_set_connect_state(session.get());
  return session;
}

}  // namespace clawrun::gateway
