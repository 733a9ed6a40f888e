// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL
import RTP

/// AES-GCM and AES-CM with HMAC-SHA1 by OpenSSL's EVP: runs everywhere, one packet at a time.
final class OpenSSLEngine: CipherEngine {
    func makeContext(_ profile: ProtectionProfile, _ keys: SessionKeys, seals: Bool) throws(SRTPError) -> CipherContext
    {
        let context: OpaquePointer?
        if profile.isAEAD {
            guard keys.encryption.count == profile.keyLength else { throw .badKeyLength }
            unsafe context = jvbd_srtp_context_new_gcm(keys.encryption, keys.encryption.count, seals ? 1 : 0)
        } else {
            guard keys.encryption.count == 16, keys.authentication.count == 20 else { throw .badKeyLength }
            unsafe context = jvbd_srtp_context_new_cm(keys.encryption, keys.authentication)
        }
        guard let context = unsafe context else { throw .engineFailure }
        return unsafe CipherContext(context)
    }

    func destroy(_ context: CipherContext, _ profile: ProtectionProfile) {
        unsafe jvbd_srtp_context_free(OpaquePointer(context))
    }

    func seal(_ jobs: UnsafeMutableBufferPointer<CipherJob>) {
        guard let first = jobs.baseAddress else { return }
        for number in 0..<jobs.count { unsafe Self.seal(first + number) }
    }

    func open(_ jobs: UnsafeMutableBufferPointer<CipherJob>) {
        guard let first = jobs.baseAddress else { return }
        for number in 0..<jobs.count { unsafe Self.open(first + number) }
    }

    @inline(__always)
    static func seal(_ job: UnsafeMutablePointer<CipherJob>) {
        let context = unsafe OpaquePointer(job.pointee.context)
        let packet = unsafe job.pointee.output
        let header = unsafe Int(job.pointee.headerLength)
        let tag = unsafe packet + Int(job.pointee.tagOffset)
        let result: Int32
        if unsafe job.pointee.isAEAD {
            result = unsafe withUnsafeBytes(of: job.pointee.vector) { vector in
                unsafe jvbd_srtp_gcm_seal(
                    context, vector.baseAddress, job.pointee.associated, job.pointee.associatedLength, packet + header,
                    job.pointee.patchLength, job.pointee.source, job.pointee.payloadLength, tag)
            }
        } else {
            result = unsafe withUnsafeBytes(of: job.pointee.vector) { vector in
                unsafe jvbd_srtp_cm_seal(
                    context, vector.baseAddress, packet, job.pointee.headerLength, job.pointee.patchLength,
                    job.pointee.source, job.pointee.payloadLength, job.pointee.trailer, tag)
            }
        }
        unsafe job.pointee.succeeded = result == 1
    }

    @inline(__always)
    static func open(_ job: UnsafeMutablePointer<CipherJob>) {
        let context = unsafe OpaquePointer(job.pointee.context)
        let packet = unsafe job.pointee.source
        let header = unsafe Int(job.pointee.headerLength)
        let tag = unsafe packet + Int(job.pointee.tagOffset)
        let out = unsafe job.pointee.output + header
        let result: Int32
        if unsafe job.pointee.isAEAD {
            result = unsafe withUnsafeBytes(of: job.pointee.vector) { vector in
                unsafe jvbd_srtp_gcm_open(
                    context, vector.baseAddress, job.pointee.associated, job.pointee.associatedLength, packet + header,
                    job.pointee.payloadLength, out, tag)
            }
        } else {
            result = unsafe withUnsafeBytes(of: job.pointee.vector) { vector in
                unsafe jvbd_srtp_cm_open(
                    context, vector.baseAddress, packet, job.pointee.headerLength, job.pointee.payloadLength, out,
                    job.pointee.trailer, tag)
            }
        }
        unsafe job.pointee.succeeded = result == 1
    }
}
