// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// libexpat, and the one call that not every version of it has.

#ifndef JVBD_CEXPAT_H
#define JVBD_CEXPAT_H

#include <expat.h>

// Newer expat may leave a complete token unparsed until more bytes come (the answer to CVE-2023-52425). On an XMPP stream
// those bytes come only after our reply, so the stream would stand still. Where expat can do that, this turns it off; the
// caller bounds the length of a token instead.
void jvbd_expat_parse_at_once(XML_Parser parser);

#endif
