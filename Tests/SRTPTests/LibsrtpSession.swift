// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#if canImport(CSRTP)
    import CSRTP
    import RTP

    /// libsrtp2 as an oracle: one direction of one session, for any SSRC.
    @safe final class LibsrtpSession {
        private var session: srtp_t?

        /// libsrtp2 is started once in the process.
        private static let isStarted: Bool = srtp_init() == srtp_err_status_ok

        /// - Parameter seals: whether this is the sending end.
        init?(_ profile: ProtectionProfile, _ key: SRTPMasterKey, seals: Bool) {
            guard Self.isStarted else { return nil }
            var policy = unsafe srtp_policy_t()
            switch profile {
            case .aes128CMHMACSHA1_80:
                unsafe srtp_crypto_policy_set_rtp_default(&policy.rtp)
                unsafe srtp_crypto_policy_set_rtcp_default(&policy.rtcp)
            case .aeadAES128GCM:
                unsafe srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp)
                unsafe srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp)
            case .aeadAES256GCM:
                unsafe srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp)
                unsafe srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp)
            }
            unsafe policy.ssrc.type = seals ? ssrc_any_outbound : ssrc_any_inbound
            unsafe policy.window_size = 1024
            var bytes = key.key + key.salt
            let status = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
                unsafe policy.key = buffer.baseAddress
                return unsafe srtp_create(&session, &policy)
            }
            guard status == srtp_err_status_ok else { return nil }
        }

        deinit { unsafe srtp_dealloc(session) }

        func protect(_ packet: [UInt8]) -> [UInt8]? { unsafe run(packet, srtp_protect) }
        func protectRTCP(_ packet: [UInt8]) -> [UInt8]? { unsafe run(packet, srtp_protect_rtcp) }
        func unprotect(_ packet: [UInt8]) -> [UInt8]? { unsafe run(packet, srtp_unprotect) }
        func unprotectRTCP(_ packet: [UInt8]) -> [UInt8]? { unsafe run(packet, srtp_unprotect_rtcp) }

        private func run(
            _ packet: [UInt8],
            _ function: (srtp_t?, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>?) -> srtp_err_status_t
        ) -> [UInt8]? {
            var buffer = packet + [UInt8](repeating: 0, count: 160)
            var length = Int32(packet.count)
            let status = unsafe buffer.withUnsafeMutableBytes { unsafe function(session, $0.baseAddress, &length) }
            return status == srtp_err_status_ok ? Array(buffer.prefix(Int(length))) : nil
        }
    }
#endif
