{
  "targets": [
    {
      "target_name": "forklock",
      "sources": [
        "native/addon.cc",
        "native/copies.cc",
        "native/dispositions.cc",
        "native/exports/fork.cc",
        "native/exports/js-thread.cc",
        "native/exports/participants.cc",
        "native/exports/processes.cc",
        "native/exports/segments.cc",
        "native/exports/waiting.cc",
        "native/fork/calls.cc",
        "native/fork/fork.cc",
        "native/fork/helpers.cc",
        "native/fork/inherited.cc",
        "native/fork/leave.cc",
        "native/fork/output.cc",
        "native/fork/pages.cc",
        "native/fork/polls.cc",
        "native/fork/rest.cc",
        "native/fork/roll.cc",
        "native/fork/sleeps.cc",
        "native/futex.cc",
        "native/keepers.cc",
        "native/memory.cc",
        "native/orphans.cc",
        "native/participant.cc",
        "native/proc.cc",
        "native/process.cc",
        "native/robust.cc",
        "native/robust_list.cc",
        "native/socket.cc",
        "native/standing.cc",
        "native/waiter.cc",
        "native/watch.cc"
      ],
      "dependencies": [
        "<!(node -p \"require('node-addon-api').targets\"):node_addon_api"
      ],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED"
      ],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions"],
      "cflags_cc": ["-std=c++17", "-fexceptions", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-Os"],
      "ldflags": ["-Wl,--gc-sections", "-Wl,--as-needed", "-Wl,-z,now"]
    }
  ]
}
