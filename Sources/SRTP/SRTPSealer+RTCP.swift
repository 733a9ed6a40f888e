// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// Seals RTCP, one compound packet at a time (RFC 3711 section 3.4, RFC 7714 section 9).
extension SRTPSealer {
    /// Bytes of RTCP that stay readable: header and sender SSRC.
    static var rtcpHeaderLength: Int { 8 }

    /// Protects a compound RTCP packet under the next SRTCP index.
    /// - Parameters:
    ///   - plain: the packet, 8 bytes at least.
    ///   - out: room for `profile.rtcpOverhead` bytes more. Must not overlap `plain`.
    /// - Returns: bytes written; nil when a length is wrong, all 2^31 indices are used, or the crypto library failed.
    public func sealRTCP(_ plain: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) -> Int? {
        let header = Self.rtcpHeaderLength
        let count = plain.count
        let total = count + profile.rtcpOverhead
        guard let source = plain.baseAddress, let output = out.baseAddress, count >= header,
            count <= Int(SRTPLimit.packetLength), out.count >= total, let index = takeRTCPIndex()
        else { return nil }
        let ssrc = unsafe SSRC(rawValue: UInt32(bigEndian: source.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        let word = 1 << 31 | index
        unsafe output.copyMemory(from: source, byteCount: header)
        unsafe engine.setAssociated(source, word)
        unsafe engine.scratch.initialize(
            to: CipherJob(
                context: rtcpContext, isAEAD: isAEAD, succeeded: false, vector: rtcpSalt.vector(ssrc, UInt64(index)),
                associated: UnsafeRawPointer(engine.associated), associatedLength: 12, headerLength: Int32(header),
                patchLength: 0, payloadLength: Int32(count - header), source: source + header, output: output,
                tagOffset: Int32(isAEAD ? count : count + 4), trailer: word, position: 0))
        unsafe engine.cipher.seal(UnsafeMutableBufferPointer(start: engine.scratch, count: 1))
        guard unsafe engine.scratch.pointee.succeeded else { return nil }
        unsafe output.storeBytes(of: word.bigEndian, toByteOffset: isAEAD ? count + 16 : count, as: UInt32.self)
        return total
    }
}

extension SRTPEngine {
    /// Notes header and index word of an SRTCP packet as its associated data (RFC 7714 section 9.2).
    func setAssociated(_ header: UnsafeRawPointer, _ word: UInt32) {
        unsafe associated.copyMemory(from: header, byteCount: 8)
        unsafe associated.storeBytes(of: word.bigEndian, toByteOffset: 8, as: UInt32.self)
    }
}
