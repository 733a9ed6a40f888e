// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import SRTP
import Testing

/// Packets to protect, and the batch APIs in terms of arrays, with guard bytes round every buffer.

/// Splitmix64: the same numbers from the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

extension EngineKind {
    /// The engines that this machine can run.
    static let available: [EngineKind] = allCases.filter { (try? SRTPEngine($0)) != nil }
    /// Every engine with every profile.
    static let combinations: [(EngineKind, ProtectionProfile)] = available.flatMap { kind in
        ProtectionProfile.allCases.map { (kind, $0) }
    }
}

extension SRTPMasterKey {
    /// A key of the right length for a profile; another for each seed.
    static func make(_ profile: ProtectionProfile, seed: UInt64 = 1) -> SRTPMasterKey {
        var generator = SeededGenerator(state: seed)
        return SRTPMasterKey(key: generator.bytes(profile.keyLength), salt: generator.bytes(profile.saltLength))
    }
}

/// A plaintext RTP packet.
struct PlainPacket: Equatable {
    var header: [UInt8]
    var payload: [UInt8]
    var bytes: [UInt8] { header + payload }

    var ssrc: SSRC { SSRC(rawValue: header[8..<12].reduce(0) { $0 << 8 | UInt32($1) }) }

    init(header: [UInt8], payload: [UInt8]) {
        self.header = header
        self.payload = payload
    }

    init(ssrc: UInt32, sequenceNumber: UInt16, csrcs: Int = 0, extensionWords: Int? = nil, payload: [UInt8]) {
        header = [UInt8(0x80 | (extensionWords == nil ? 0 : 0x10) | csrcs), 96]
        header += [UInt8(sequenceNumber >> 8), UInt8(sequenceNumber & 0xFF), 1, 2, 3, 4]
        header += (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * UInt32($0))) }
        header += (0..<csrcs * 4).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        if let words = extensionWords {
            header += [0xBE, 0xDE, UInt8(words >> 8), UInt8(words & 0xFF)]
            header += (0..<words * 4).map { UInt8(truncatingIfNeeded: $0 &* 11) }
        }
        self.payload = payload
    }

    /// - Parameter index: its low 16 bits are the sequence number.
    init(ssrc: UInt32, index: UInt64, payload: [UInt8] = [UInt8](repeating: 0x42, count: 100)) {
        self.init(ssrc: ssrc, sequenceNumber: UInt16(truncatingIfNeeded: index), payload: payload)
    }
}

/// One packet to seal.
struct SealRequest {
    var sealer: SRTPSealer
    var packet: PlainPacket
    var index: UInt64
    /// How many of the first payload bytes come by the patch.
    var patchLength = 0
    var isResend = false
}

/// Seals a batch; nil where it was refused. Checks that nothing behind a sealed packet was written.
func seal(_ engine: SRTPEngine, _ requests: [SealRequest]) -> [[UInt8]?] {
    let slack = 64
    var buffers = requests.map { request in
        request.packet.header + request.packet.payload.prefix(request.patchLength)
            + [UInt8](repeating: 0xEE, count: request.packet.payload.count - request.patchLength + 16 + slack)
    }
    // The shared payload has other bytes where the patch goes.
    let payloads = requests.map { request in
        request.packet.payload.prefix(request.patchLength).map { ~$0 }
            + request.packet.payload.dropFirst(request.patchLength) + [0]
    }
    var lengths: [Int] = []
    unsafe withPointers(&buffers, payloads) { outputs, inputs in
        var jobs: [SealJob] = []
        var numbers: [Int] = []
        for (number, request) in requests.enumerated() {
            guard let stream = request.sealer.stream(for: request.packet.ssrc) else { continue }
            numbers.append(number)
            jobs.append(
                unsafe SealJob(
                    sealer: Unmanaged.passUnretained(request.sealer), stream: stream,
                    index: ExtendedSequenceNumber(rawValue: request.index), isResend: request.isResend,
                    output: outputs[number], headerLength: Int32(request.packet.header.count),
                    patchLength: Int32(request.patchLength), payload: inputs[number],
                    payloadLength: Int32(request.packet.payload.count)))
        }
        unsafe jobs.withUnsafeMutableBufferPointer { unsafe engine.seal($0) }
        lengths = requests.map { _ in -1 }
        for (number, job) in zip(numbers, jobs) { lengths[number] = Int(job.sealedLength) }
    }
    return zip(buffers, lengths).map { buffer, length in
        guard length >= 0 else { return nil }
        #expect(buffer[length...].allSatisfy { $0 == 0xEE }, "bytes behind the packet were written")
        return Array(buffer.prefix(length))
    }
}

/// One packet to open.
struct OpenRequest {
    var opener: SRTPOpener
    var bytes: [UInt8]
    /// Header length to claim; nil: as the header says.
    var headerLength: Int?

    init(_ opener: SRTPOpener, _ bytes: [UInt8], headerLength: Int? = nil) {
        self.opener = opener
        self.bytes = bytes
        self.headerLength = headerLength
    }
}

/// A packet that came out of an opener.
struct Opened: Equatable {
    var bytes: [UInt8]
    var index: UInt64
}

func open(_ engine: SRTPEngine, _ requests: [OpenRequest]) -> [Result<Opened, OpenFailure>] {
    var buffers = requests.map { [UInt8](repeating: 0xEE, count: $0.bytes.count + 64) }
    var results: [(length: Int, index: UInt64, failure: OpenFailure)] = []
    unsafe withPointers(&buffers, requests.map { $0.bytes + [0] }) { outputs, inputs in
        var jobs: [OpenJob] = []
        for (number, request) in requests.enumerated() {
            let bytes = request.bytes + [UInt8](repeating: 0, count: 16)
            jobs.append(
                unsafe OpenJob(
                    opener: Unmanaged.passUnretained(request.opener), packet: inputs[number],
                    length: Int32(request.bytes.count),
                    headerLength: Int32(request.headerLength ?? headerLength(request.bytes)),
                    ssrc: SSRC(rawValue: bytes[8..<12].reduce(0) { $0 << 8 | UInt32($1) }),
                    sequenceNumber: SequenceNumber(rawValue: UInt16(bytes[2]) << 8 | UInt16(bytes[3])),
                    output: outputs[number]))
        }
        unsafe jobs.withUnsafeMutableBufferPointer { unsafe engine.open($0) }
        results = jobs.map { (Int($0.openedLength), $0.index.rawValue, $0.failure) }
    }
    return zip(requests.indices, results).map { number, result in
        let buffer = buffers[number]
        #expect(
            buffer[requests[number].bytes.count...].allSatisfy { $0 == 0xEE }, "bytes behind the buffer were written")
        guard result.failure == .none else {
            #expect(result.length == -1)
            return .failure(result.failure)
        }
        return .success(Opened(bytes: Array(buffer.prefix(result.length)), index: result.index))
    }
}

/// Opens one packet alone.
func open(_ engine: SRTPEngine, _ opener: SRTPOpener, _ bytes: [UInt8]) -> Result<Opened, OpenFailure> {
    open(engine, [OpenRequest(opener, bytes)])[0]
}

/// Header length of any bytes, whether or not they have that many.
func headerLength(_ bytes: [UInt8]) -> Int {
    guard bytes.count >= 12 else { return 12 }
    let fixed = 12 + 4 * Int(bytes[0] & 15)
    guard bytes[0] & 0x10 != 0, bytes.count >= fixed + 4 else { return fixed }
    return fixed + 4 + 4 * (Int(bytes[fixed + 2]) << 8 | Int(bytes[fixed + 3]))
}

extension SRTPSealer {
    func sealRTCP(_ plain: [UInt8]) -> [UInt8]? {
        var out = [UInt8](repeating: 0xEE, count: plain.count + profile.rtcpOverhead + 32)
        let length = unsafe plain.withUnsafeBytes { input in
            unsafe out.withUnsafeMutableBytes { unsafe sealRTCP(input, into: $0) }
        }
        guard let length else { return nil }
        #expect(out[length...].allSatisfy { $0 == 0xEE }, "bytes behind the packet were written")
        return Array(out.prefix(length))
    }
}

extension SRTPOpener {
    func openRTCP(_ packet: [UInt8]) -> Result<[UInt8], OpenFailure> {
        var out = [UInt8](repeating: 0xEE, count: packet.count + 32)
        let result = unsafe packet.withUnsafeBytes { input in
            unsafe out.withUnsafeMutableBytes { unsafe openRTCP(input, into: $0) }
        }
        #expect(out[packet.count...].allSatisfy { $0 == 0xEE }, "bytes behind the buffer were written")
        return result.map { Array(out.prefix($0)) }
    }
}

/// Calls back with a stable pointer to each buffer.
private func withPointers(
    _ outputs: inout [[UInt8]], _ inputs: [[UInt8]],
    _ body: ([UnsafeMutableRawPointer], [UnsafeRawPointer]) -> Void
) {
    let output = unsafe outputs.map { bytes in
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
        unsafe memory.copyMemory(from: bytes, byteCount: bytes.count)
        return unsafe memory
    }
    let input = unsafe inputs.map { bytes in
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
        unsafe memory.copyMemory(from: bytes, byteCount: bytes.count)
        return UnsafeRawPointer(memory)
    }
    unsafe body(output, input)
    for number in outputs.indices {
        let count = outputs[number].count
        outputs[number] = unsafe Array(UnsafeRawBufferPointer(start: output[number], count: count))
        unsafe output[number].deallocate()
        unsafe input[number].deallocate()
    }
}

/// Bytes of a hexadecimal string; blanks are skipped.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
