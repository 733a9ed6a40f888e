// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "CSRTP.h"
