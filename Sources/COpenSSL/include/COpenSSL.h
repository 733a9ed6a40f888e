#include <openssl/ssl.h>
#include "COpenSSLDTLS.h"
#include "COpenSSLSRTP.h"
