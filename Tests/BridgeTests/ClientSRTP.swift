// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import DTLS
import RTP
import SRTP

/// The client's half of SRTP, in terms of arrays.
@safe
final class ClientSRTP {
    private let engine: SRTPEngine
    private let sealer: SRTPSealer
    private let opener: SRTPOpener

    /// - Parameter keys: as the client sees them: it seals with `local`.
    init(_ keys: DTLSSRTPKeys) throws {
        engine = try SRTPEngine(.openSSL)
        sealer = try SRTPSealer(profile: keys.profile, key: keys.local, engine: engine)
        opener = try SRTPOpener(profile: keys.profile, key: keys.remote, engine: engine)
    }

    /// nil when the index was used before.
    func seal(header: [UInt8], payload: [UInt8], ssrc: UInt32, index: UInt64) -> [UInt8]? {
        guard let stream = sealer.stream(for: SSRC(rawValue: ssrc)) else { return nil }
        var output = header + [UInt8](repeating: 0, count: payload.count + 80)
        let input = payload + [0]
        var length = -1
        unsafe output.withUnsafeMutableBytes { room in
            unsafe input.withUnsafeBytes { plain in
                guard let room = room.baseAddress, let plain = plain.baseAddress else { return }
                var job = unsafe SealJob(
                    sealer: Unmanaged.passUnretained(sealer), stream: stream,
                    index: ExtendedSequenceNumber(rawValue: index), output: room, headerLength: Int32(header.count),
                    payload: plain, payloadLength: Int32(payload.count))
                unsafe withUnsafeMutablePointer(to: &job) {
                    unsafe engine.seal(UnsafeMutableBufferPointer(start: $0, count: 1))
                }
                length = Int(job.sealedLength)
            }
        }
        return length < 0 ? nil : Array(output.prefix(length))
    }

    /// The plaintext packet with its unwrapped sequence number.
    func open(_ packet: [UInt8]) -> Result<(plain: [UInt8], index: UInt64), OpenFailure> {
        guard let header = try? RTPHeader(parsing: packet.span) else { return .failure(.malformed) }
        var output = [UInt8](repeating: 0, count: packet.count + 64)
        var opened: (length: Int, index: UInt64, failure: OpenFailure) = (-1, 0, .malformed)
        unsafe output.withUnsafeMutableBytes { room in
            unsafe packet.withUnsafeBytes { bytes in
                guard let room = room.baseAddress, let bytes = bytes.baseAddress else { return }
                var job = unsafe OpenJob(
                    opener: Unmanaged.passUnretained(opener), packet: bytes, length: Int32(packet.count),
                    headerLength: Int32(header.headerLength), ssrc: header.ssrc, sequenceNumber: header.sequenceNumber,
                    output: room)
                unsafe withUnsafeMutablePointer(to: &job) {
                    unsafe engine.open(UnsafeMutableBufferPointer(start: $0, count: 1))
                }
                opened = (Int(job.openedLength), job.index.rawValue, job.failure)
            }
        }
        guard opened.failure == .none else { return .failure(opened.failure) }
        return .success((Array(output.prefix(opened.length)), opened.index))
    }

    /// A sealed compound of what `write` writes.
    func sealRTCP(_ write: (inout RTCPWriter) -> Void) -> [UInt8]? {
        let plain = UnsafeMutableRawPointer.allocate(byteCount: 1200, alignment: 8)
        defer { unsafe plain.deallocate() }
        var writer = unsafe RTCPWriter(into: plain, capacity: 1200)
        write(&writer)
        let count = writer.count
        return sealRTCP(unsafe Array(UnsafeRawBufferPointer(start: plain, count: count)))
    }

    func sealRTCP(_ plain: [UInt8]) -> [UInt8]? {
        var sealed = [UInt8](repeating: 0, count: plain.count + 64)
        let count = unsafe plain.withUnsafeBytes { input in
            unsafe sealed.withUnsafeMutableBytes { unsafe sealer.sealRTCP(input, into: $0) }
        }
        return count.map { Array(sealed.prefix($0)) }
    }

    func openRTCP(_ packet: [UInt8]) -> Result<[UInt8], OpenFailure> {
        var output = [UInt8](repeating: 0, count: packet.count + 64)
        let result = unsafe packet.withUnsafeBytes { input in
            unsafe output.withUnsafeMutableBytes { unsafe opener.openRTCP(input, into: $0) }
        }
        return result.map { Array(output.prefix($0)) }
    }
}

/// Bytes of a plaintext RTP header with one-byte extension elements (RFC 3550 section 5.1, RFC 8285), written by hand so that
/// the bridge's own writer is not its own judge.
func rtpHeader(
    payloadType: UInt8, marker: Bool, sequence: UInt16, timestamp: UInt32, ssrc: UInt32,
    elements: [(id: UInt8, value: [UInt8])] = []
) -> [UInt8] {
    var bytes: [UInt8] = [elements.isEmpty ? 0x80 : 0x90, (marker ? 0x80 : 0) | payloadType]
    bytes += sequence.bytes + timestamp.bytes + ssrc.bytes
    guard !elements.isEmpty else { return bytes }
    var block: [UInt8] = []
    for element in elements { block += [element.id << 4 | UInt8(element.value.count - 1)] + element.value }
    while block.count % 4 != 0 { block.append(0) }
    return bytes + [0xBE, 0xDE] + UInt16(block.count / 4).bytes + block
}

extension FixedWidthInteger {
    /// Big-endian.
    var bytes: [UInt8] {
        (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> Self(Self.bitWidth - 8 - 8 * $0)) }
    }

    init(bytes: some Sequence<UInt8>) { self = bytes.reduce(0) { $0 << 8 | Self(truncatingIfNeeded: $1) } }
}
