{
  # For `npm install` from the package's own files; in the repository meson builds the addon.
  "targets": [{
    "target_name": "clawrun_node",
    "sources": ["src/addon.cc", "src/pool_calls.cc", "src/sandbox.cc", "src/sandbox_calls.cc", "src/steps.cc", "src/values.cc", "src/work.cc"],
    "cflags_cc": ["-std=c++17", "-fvisibility=hidden", "<!@(pkg-config --cflags clawrun)"],
    "libraries": ["<!@(pkg-config --libs clawrun)"]
  }]
}
