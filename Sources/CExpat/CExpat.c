// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "CExpat.h"

// Weak, because version numbers do not tell: it came with 2.6.0, but distributions have put it into their 2.5.0 as well.
extern XML_Bool XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled) __attribute__((weak));

void jvbd_expat_parse_at_once(XML_Parser parser) {
    if (XML_SetReparseDeferralEnabled) XML_SetReparseDeferralEnabled(parser, XML_FALSE);
}
