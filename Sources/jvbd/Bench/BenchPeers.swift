// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The two kinds of participants of the measured meeting, with their half of the SRTP keys.

import Bridge
import CLinux
import Colibri
import DTLS
import Glibc
import ICE
import RTP
import SRTP

/// Keys of both directions, made up; each side gets its view.
private func makeKeys(_ profile: ProtectionProfile, seed: UInt8) -> (bridge: DTLSSRTPKeys, peer: DTLSSRTPKeys) {
    func key(_ direction: UInt8) -> SRTPMasterKey {
        SRTPMasterKey(
            key: (0..<profile.keyLength).map { UInt8(truncatingIfNeeded: $0) &* 7 &+ seed &+ direction },
            salt: (0..<profile.saltLength).map { UInt8(truncatingIfNeeded: $0) &* 11 &+ seed &+ direction })
    }
    let down = key(1)
    let up = key(129)
    return (
        DTLSSRTPKeys(profile: profile, local: down, remote: up), DTLSSRTPKeys(profile: profile, local: up, remote: down)
    )
}

/// What Jicofo negotiates, as far as it matters here.
private func makeEndpoint(_ id: String) -> EndpointModify {
    let feedback = ["nack", "transport-cc"].map { PayloadTypeDescription.Feedback(type: $0) }
    let vp8 = PayloadTypeDescription(
        id: PayloadType(secondOctet: 100), name: "VP8", clockRate: 90_000, feedback: feedback)
    let rtx = PayloadTypeDescription(
        id: PayloadType(secondOctet: 96), name: "rtx", clockRate: 90_000, parameters: [.init(name: "apt", value: "100")]
    )
    var extensions: [HeaderExtensionDescription] = []
    if let id = ExtensionID(rawValue: 5) {
        extensions.append(HeaderExtensionDescription(id: id, uri: HeaderExtension.transportSequenceNumber.uri))
    }
    return EndpointModify(
        id: id, create: true,
        media: [MediaDescription(kind: .video, payloadTypes: [vp8, rtx], headerExtensions: extensions)],
        transport: TransportModify(iceControlling: true), capabilities: [Capability.sourceNames])
}

/// Sends bursts of VP8 packets of one encoding and a trickle of the other, sealed and sent outside of the clock.
@safe
final class BenchPublisher {
    static let encodings: [UInt32] = [1000, 2000]
    let bridgeKeys: DTLSSRTPKeys
    let endpoint: EndpointModify
    let port: UInt16
    private let shape: BenchMeeting.Shape
    private let engine: SRTPEngine
    private let sealer: SRTPSealer
    private let socket: UDPSocket
    private let sender: DatagramSender
    private let bridge: Path
    private var sequence: [UInt64] = [65_000, 65_200]
    private var picture: UInt16 = 0
    private var timestamp: UInt32 = 0
    private var transportSequence: UInt16 = 0
    private var wantsKeyframe = 60
    private let packet = UnsafeMutableRawPointer.allocate(byteCount: 1600, alignment: 16)
    private let payload = UnsafeMutableRawPointer.allocate(byteCount: 1600, alignment: 16)

    init(_ shape: BenchMeeting.Shape, bridge address: TransportAddress) throws {
        self.shape = shape
        let keys = makeKeys(shape.profile, seed: 3)
        bridgeKeys = keys.bridge
        engine = try shape.engine.map { try SRTPEngine($0) } ?? SRTPEngine.preferred()
        sealer = try SRTPSealer(profile: shape.profile, key: keys.peer.local, engine: engine)
        socket = try UDPSocket.open(port: 0)[0]
        sender = DatagramSender(sockets: [socket])
        port = socket.port
        bridge = Path(socket: 0, local: .v4(0x7F00_0001), remote: address)
        var endpoint = makeEndpoint("publisher")
        let ssrcs = Self.encodings.map(SSRC.init(rawValue:))
        let repairs = ssrcs.map { SSRC(rawValue: $0.rawValue + 1) }
        endpoint.sources = [
            MediaSource(
                kind: .video, name: "publisher-v0", sources: (ssrcs + repairs).map { SSRCDescription(ssrc: $0) },
                groups: [SSRCGroup(semantics: .simulcast, ssrcs: ssrcs)]
                    + zip(ssrcs, repairs).map { SSRCGroup(semantics: .retransmission, ssrcs: [$0, $1]) })
        ]
        self.endpoint = endpoint
        for i in 0..<1600 {
            unsafe payload.storeBytes(of: UInt8(truncatingIfNeeded: i &* 31), toByteOffset: i, as: UInt8.self)
        }
    }

    deinit {
        unsafe packet.deallocate()
        unsafe payload.deallocate()
    }

    /// How often sequence numbers went over 2^16.
    var wraps: Int { sequence.reduce(0) { $0 + Int($1 >> 16) } }
    /// The next bursts start with a keyframe, until receivers have had the chance to switch.
    func startKeyframe() { wantsKeyframe = 60 }

    func send(active: Int) {
        picture &+= 1
        timestamp &+= 3000
        let isKey = wantsKeyframe > 0
        if isKey { wantsKeyframe -= 1 }
        for i in 0..<shape.burst { sendPacket(active, isFirst: i == 0, isLast: i == shape.burst - 1, isKey: isKey) }
        sendPacket(1 - active, isFirst: true, isLast: true, isKey: false)
    }

    private func sendPacket(_ encoding: Int, isFirst: Bool, isLast: Bool, isKey: Bool) {
        let ssrc = SSRC(rawValue: Self.encodings[encoding])
        let index = ExtendedSequenceNumber(rawValue: sequence[encoding])
        sequence[encoding] += 1
        guard let stream = sealer.stream(for: ssrc) else { return }
        var writer = unsafe HeaderWriter(
            into: packet, capacity: 64, marker: isLast, payloadType: PayloadType(secondOctet: 100),
            sequenceNumber: index.wire, timestamp: RTPTimestamp(rawValue: timestamp), ssrc: ssrc)
        if let id = ExtensionID(rawValue: 5) { writer.append(id, SequenceNumber(rawValue: transportSequence)) }
        transportSequence &+= 1
        let header = writer.finish()
        writeDescriptor(isFirst: isFirst, isKey: isKey, height: 180 << encoding)
        var job = unsafe SealJob(
            sealer: Unmanaged.passUnretained(sealer), stream: stream, index: index, output: packet,
            headerLength: Int32(header), payload: UnsafeRawPointer(payload), payloadLength: Int32(shape.bytes))
        unsafe withUnsafeMutablePointer(to: &job) {
            unsafe engine.seal(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        guard job.sealedLength > 0 else { return }
        let message = unsafe OutboundMessage(
            bytes: UnsafeRawPointer(packet), count: Int(job.sealedLength), segmentSize: 0, path: bridge)
        unsafe withUnsafePointer(to: message) { unsafe sender.send(UnsafeBufferPointer(start: $0, count: 1)) }
    }

    /// VP8 descriptor with 15-bit picture id, TL0PICIDX and TID, and the start of a VP8 frame (RFC 7741, RFC 6386 section 9.1).
    private func writeDescriptor(isFirst: Bool, isKey: Bool, height: Int) {
        let bytes: [UInt8] = [
            isFirst ? 0x90 : 0x80, 0xE0, UInt8(0x80 | picture >> 8 & 0x7F), UInt8(truncatingIfNeeded: picture),
            UInt8(truncatingIfNeeded: picture), 0x00,
            isKey ? 0x10 : 0x11, 0x00, 0x00, 0x9D, 0x01, 0x2A, UInt8(truncatingIfNeeded: height * 16 / 9),
            UInt8(truncatingIfNeeded: (height * 16 / 9) >> 8), UInt8(truncatingIfNeeded: height),
            UInt8(truncatingIfNeeded: height >> 8),
        ]
        unsafe bytes.withUnsafeBytes {
            unsafe payload.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(payload), byteCount: bytes.count)
        }
    }
}

/// Receives into a socket that nobody reads, and now and then asks for a keyframe or a retransmission.
final class BenchViewer {
    struct Report {
        enum Kind { case keyframeRequest, retransmissionRequest }

        var kind: Kind
        var bytes: [UInt8]
        var port: UInt16
    }

    let id: String
    let bridgeKeys: DTLSSRTPKeys
    let endpoint: EndpointModify
    let port: UInt16
    private let descriptor: Int32
    private let sealer: SRTPSealer
    private let engine: SRTPEngine

    init(index: Int, profile: ProtectionProfile) throws {
        id = "viewer\(index)"
        let keys = makeKeys(profile, seed: UInt8(truncatingIfNeeded: index &* 13 &+ 17))
        bridgeKeys = keys.bridge
        endpoint = makeEndpoint(id)
        engine = try SRTPEngine(.openSSL)
        sealer = try SRTPSealer(profile: profile, key: keys.peer.local, engine: engine)
        descriptor = clinux_udp_socket(false)
        guard descriptor >= 0, clinux_bind_any(descriptor, false, 0) == 0 else {
            throw BenchError.setUp("a socket for \(id)")
        }
        port = UInt16(truncatingIfNeeded: clinux_local_port(descriptor))
    }

    deinit { close(descriptor) }

    /// Asks for the packet `lost` again, or for a keyframe when there is none.
    func report(lost: UInt16?) -> [Report] {
        let media = SSRC(rawValue: BenchPublisher.encodings[0])
        let plain = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 8)
        defer { unsafe plain.deallocate() }
        var writer = unsafe RTCPWriter(into: plain, capacity: 128)
        if let lost {
            let pairs = [NACKPair(first: SequenceNumber(rawValue: lost))]
            writer.nack(sender: SSRC(rawValue: 1), media: media, pairs: pairs.span)
        } else {
            writer.pictureLossIndication(sender: SSRC(rawValue: 1), media: media)
        }
        var sealed = [UInt8](repeating: 0, count: 256)
        let count = unsafe sealed.withUnsafeMutableBytes {
            unsafe sealer.sealRTCP(UnsafeRawBufferPointer(start: plain, count: writer.count), into: $0)
        }
        guard let count else { return [] }
        return [
            Report(
                kind: lost == nil ? .keyframeRequest : .retransmissionRequest, bytes: Array(sealed.prefix(count)),
                port: port)
        ]
    }
}
