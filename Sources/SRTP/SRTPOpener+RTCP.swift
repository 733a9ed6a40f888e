// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// Opens SRTCP, one packet at a time (RFC 3711 section 3.4, RFC 7714 section 9).
extension SRTPOpener {
    /// Verifies and decrypts an SRTCP packet. The index is in the packet, so nothing is guessed.
    /// - Parameters:
    ///   - packet: the protected packet. Only read.
    ///   - out: room for `packet.count` bytes; gets the compound packet. Must not overlap `packet`.
    /// - Returns: bytes of the compound packet.
    public func openRTCP(
        _ packet: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) -> Result<Int, OpenFailure> {
        let header = SRTPSealer.rtcpHeaderLength
        let count = packet.count - profile.rtcpOverhead
        guard let source = packet.baseAddress, let output = out.baseAddress, count >= header,
            count <= Int(SRTPLimit.packetLength), out.count >= packet.count
        else { return .failure(.malformed) }
        let wordOffset = isAEAD ? count + 16 : count
        let word = unsafe UInt32(bigEndian: source.loadUnaligned(fromByteOffset: wordOffset, as: UInt32.self))
        guard word >> 31 == 1 else { return .failure(.malformed) }
        let index = UInt64(word & 0x7FFF_FFFF)
        let ssrc = unsafe SSRC(rawValue: UInt32(bigEndian: source.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        if let number = rtcp.find(ssrc) {
            let verdict = unsafe rtcp.row(at: number).pointee.peek(index)
            guard verdict == .none else { return .failure(verdict) }
        } else if rtcp.count >= rtcp.limit {
            return .failure(.tooManyStreams)
        }

        unsafe output.copyMemory(from: source, byteCount: header)
        unsafe engine.setAssociated(source, word)
        unsafe engine.scratch.initialize(
            to: CipherJob(
                context: rtcpContext, isAEAD: isAEAD, succeeded: false, vector: rtcpSalt.vector(ssrc, index),
                associated: UnsafeRawPointer(engine.associated), associatedLength: 12, headerLength: Int32(header),
                patchLength: 0, payloadLength: Int32(count - header), source: source, output: output,
                tagOffset: Int32(isAEAD ? count : count + 4), trailer: word, position: 0))
        unsafe engine.cipher.open(UnsafeMutableBufferPointer(start: engine.scratch, count: 1))
        guard unsafe engine.scratch.pointee.succeeded else { return .failure(.authentication) }
        let verdict = commit(rtcp, ssrc, index)
        return verdict == .none ? .success(count) : .failure(verdict)
    }
}
