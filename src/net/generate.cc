// Run by the build: writes the netlink requests of netlink.h as C++ arrays.

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>

#include <cstdio>

namespace {

bool write_array(std::FILE* out, const unsigned char* bytes, unsigned size) {
  bool good = std::fputs("#include \"net/netlink.h\"\n\nnamespace clawrun::net {\nnamespace {\nconstexpr char kLoopbackUp[] = {",
                         out) >= 0;
  for (unsigned i = 0; i < size; ++i) good = good && std::fprintf(out, "%s'\\x%02x'", i == 0 ? "" : ", ", bytes[i]) > 0;
  return good &&
         std::fputs("};\n}\nstd::string_view loopback_up_request() { return {kLoopbackUp, sizeof kLoopbackUp}; }\n}\n", out) >= 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  nl_msg* message = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
  ifinfomsg info{};
  info.ifi_family = AF_UNSPEC;
  info.ifi_index = 1;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  if (message == nullptr || nlmsg_append(message, &info, sizeof info, NLMSG_ALIGNTO) < 0) return 1;
  const nlmsghdr* header = nlmsg_hdr(message);
  std::FILE* out = std::fopen(argv[1], "w");
  if (out == nullptr) return 1;
  const bool good = write_array(out, reinterpret_cast<const unsigned char*>(header), header->nlmsg_len);
  return std::fclose(out) == 0 && good ? 0 : 1;
}
