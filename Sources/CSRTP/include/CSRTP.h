// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// libsrtp2 for tests: the independent implementation that ours is compared with.
#ifndef CSRTP_H
#define CSRTP_H

#include <srtp2/srtp.h>

#endif
