// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// libnice and its STUN codec with the compiler and linker flags that pkg-config knows (GLib's are not in /usr/include).
#ifndef CNICELIBRARY_H
#define CNICELIBRARY_H

#include <nice/agent.h>
#include <stun/stunagent.h>

#endif
