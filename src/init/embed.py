"""Writes a file's bytes as a C++ array: embed.py INPUT OUTPUT."""
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "w") as out:
    out.write('#include "init/image.h"\n\nnamespace clawrun::init {\nnamespace {\nconstexpr unsigned char kBytes[] = {')
    out.write(",".join(str(byte) for byte in data))
    out.write("};\n}\nstd::span<const unsigned char> image() { return kBytes; }\n}\n")
