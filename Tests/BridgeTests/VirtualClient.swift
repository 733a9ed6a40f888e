// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import SRTP
import Testing

/// A participant without codecs or sockets: it sends what looks like Opus and simulcast VP8, obeys RTCP and writes down what it
/// gets. Time is what it is told.
final class VirtualClient {
    static let opus: UInt8 = 111
    static let vp8: UInt8 = 100
    static let rtx: UInt8 = 96
    static let audioLevel: UInt8 = 1
    static let transportSequence: UInt8 = 5
    static let mid: UInt8 = 9
    static let rid: UInt8 = 10
    static let repairedRid: UInt8 = 11

    let id: String
    let address: TransportAddress
    let audioSSRC: UInt32
    /// Lowest quality first.
    var encodings: [SentEncoding]
    var srtp: ClientSRTP?

    // What it does.
    /// Level of its audio packets (RFC 6464: 0 loudest, 127 silence); nil: sends none.
    var audioLevel: UInt8? = 30
    var sendsVideo = true
    var answersKeyframeRequests = true
    var answersNACKs = true
    var sendsReports = true
    /// Packets it sends that never arrive at the bridge.
    var losesUpstream: (PacketOrigin) -> Bool = { _ in false }
    /// Packets from the bridge, by SSRC and sequence number, that never arrive here.
    var losesDownstream: (UInt32, UInt16) -> Bool = { _, _ in false }

    // What it got.
    private(set) var packets: [UInt32: [ReceivedPacket]] = [:]
    private(set) var retransmissions: [ReceivedRetransmission] = []
    private(set) var rtcp = ReceivedRTCP()
    /// Why SRTP refused a packet of the bridge; a replay here is an index that the bridge used twice.
    private(set) var failures: [OpenFailure] = []
    /// Plaintext of every media packet it ever sent, for comparison.
    private(set) var sent: [PacketOrigin: [UInt8]] = [:]
    /// By transport-wide sequence number: when it was sent, and whether it got lost on the way.
    private(set) var sentTransportSequences: [UInt16: (at: Instant, isLost: Bool)] = [:]

    var outgoing: [[UInt8]] = []
    private var audioSequence: UInt64
    private var transportSequence: UInt16 = 65_500
    private var nextAudioAt: Instant?
    private var nextVideoAt: Instant?
    private var nextReportAt: Instant?
    private var audioPackets: UInt32 = 0

    /// - Parameter number: 1...200; SSRCs and the address follow from it.
    init(_ id: String, _ number: UInt32, encodings count: Int = 3) {
        self.id = id
        address = TransportAddress(ip: .v4(0xC633_6400 + number), port: UInt16(40_000 + number))
        audioSSRC = number * 1000
        audioSequence = 65_000 + UInt64(number)
        encodings = (0..<count).map { SentEncoding(number: number, quality: $0) }
    }

    var audioName: String { "\(id)-a0" }
    var videoName: String { "\(id)-v0" }
    /// The SSRC under which receivers get its video.
    var videoSSRC: UInt32 { encodings[0].ssrc }

    // MARK: Signalling

    /// Its sources as Jicofo signals them.
    var sources: [MediaSource] {
        var list = [
            MediaSource(kind: .audio, name: audioName, sources: [SSRCDescription(ssrc: SSRC(rawValue: audioSSRC))])
        ]
        guard !encodings.isEmpty else { return list }
        let primaries = encodings.map { SSRC(rawValue: $0.ssrc) }
        let repairs = encodings.map { SSRC(rawValue: $0.rtx) }
        let simulcast = primaries.count > 1 ? [SSRCGroup(semantics: .simulcast, ssrcs: primaries)] : []
        list.append(
            MediaSource(
                kind: .video, name: videoName,
                sources: encodings.map {
                    SSRCDescription(ssrc: SSRC(rawValue: $0.ssrc), rid: $0.rid.flatMap { Rid($0) })
                }
                    + repairs.map { SSRCDescription(ssrc: $0) },
                groups: simulcast
                    + zip(primaries, repairs).map { SSRCGroup(semantics: .retransmission, ssrcs: [$0, $1]) }))
        return list
    }

    /// Codecs and header extensions.
    static var media: [MediaDescription] {
        let extensions: [(UInt8, HeaderExtension)] = [
            (audioLevel, .ssrcAudioLevel), (transportSequence, .transportSequenceNumber), (mid, .mid), (rid, .rid),
            (repairedRid, .repairedRid),
        ]
        let described = extensions.compactMap { id, meaning in
            ExtensionID(rawValue: id).map { HeaderExtensionDescription(id: $0, uri: meaning.uri) }
        }
        let repairs = PayloadTypeDescription(
            id: PayloadType(secondOctet: rtx), name: "rtx", clockRate: 90_000,
            parameters: [.init(name: "apt", value: "\(vp8)")])
        return [
            MediaDescription(
                kind: .audio,
                payloadTypes: [
                    PayloadTypeDescription(id: PayloadType(secondOctet: opus), name: "opus", clockRate: 48_000)
                ],
                headerExtensions: described),
            MediaDescription(
                kind: .video,
                payloadTypes: [
                    PayloadTypeDescription(id: PayloadType(secondOctet: vp8), name: "VP8", clockRate: 90_000), repairs,
                ], headerExtensions: described),
        ]
    }

    func endpoint(
        create: Bool = true, capabilities: Set<String> = [Capability.sourceNames], transport: TransportModify? = nil
    ) -> EndpointModify {
        EndpointModify(
            id: id, create: create, media: Self.media, transport: transport ?? TransportModify(iceControlling: true),
            sources: sources, capabilities: capabilities)
    }

    // MARK: Sending

    /// Sends what is due.
    func tick(_ now: Instant) {
        guard srtp != nil else { return }
        if let level = audioLevel, due(&nextAudioAt, now, .milliseconds(20)) { sendAudio(level, now) }
        if sendsVideo, due(&nextVideoAt, now, .milliseconds(40)) { sendFrames(now) }
        if sendsReports, due(&nextReportAt, now, .seconds(1)) { sendSenderReports(now) }
    }

    private func due(_ next: inout Instant?, _ now: Instant, _ interval: Interval) -> Bool {
        guard next.map({ $0 <= now }) ?? true else { return false }
        next = now + interval
        return true
    }

    static func audioTimestamp(_ now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000 * 48 + 777)
    }

    private func sendAudio(_ level: UInt8, _ now: Instant) {
        let origin = PacketOrigin(ssrc: audioSSRC, sequence: UInt32(audioSequence))
        let payload = (0..<60).map { UInt8(truncatingIfNeeded: UInt64($0) &* 7 &+ audioSequence) } + origin.bytes
        audioPackets += 1
        send(
            payload, as: Self.opus, ssrc: audioSSRC, index: audioSequence, timestamp: Self.audioTimestamp(now),
            marker: false,
            elements: [(Self.audioLevel, [level])], origin: origin, now)
        audioSequence += 1
    }

    private func sendFrames(_ now: Instant) {
        for quality in encodings.indices where encodings[quality].isOn { sendFrame(quality, now) }
    }

    func sendFrame(_ quality: Int, _ now: Instant) {
        for packet in encodings[quality].nextFrame(at: now) {
            sent[packet.origin] = packet.payload
            send(
                packet.payload, as: Self.vp8, ssrc: encodings[quality].sentSSRC, index: packet.index,
                timestamp: packet.timestamp, marker: packet.marker, elements: encodings[quality].elements,
                origin: packet.origin, now)
        }
    }

    /// Sends one plaintext payload with a transport-wide sequence number.
    func send(
        _ payload: [UInt8], as payloadType: UInt8, ssrc: UInt32, index: UInt64, timestamp: UInt32, marker: Bool,
        elements: [(id: UInt8, value: [UInt8])], origin: PacketOrigin?, _ now: Instant
    ) {
        let isLost = origin.map(losesUpstream) ?? false
        sentTransportSequences[transportSequence] = (now, isLost)
        let header = rtpHeader(
            payloadType: payloadType, marker: marker, sequence: UInt16(truncatingIfNeeded: index), timestamp: timestamp,
            ssrc: ssrc, elements: elements + [(Self.transportSequence, transportSequence.bytes)])
        transportSequence &+= 1
        guard let packet = srtp?.seal(header: header, payload: payload, ssrc: ssrc, index: index), !isLost else {
            return
        }
        outgoing.append(packet)
    }

    func sendRTCP(_ write: (inout RTCPWriter) -> Void) {
        if let packet = srtp?.sealRTCP(write) { outgoing.append(packet) }
    }

    private func sendSenderReports(_ now: Instant) {
        let ntp = NTPTimestamp(unixNanoseconds: 1_700_000_000_000_000_000 + now.nanoseconds)
        if audioLevel != nil {
            sendRTCP { [audioSSRC, audioPackets] in
                $0.senderReport(
                    sender: SSRC(rawValue: audioSSRC), ntpTimestamp: ntp,
                    rtpTimestamp: RTPTimestamp(rawValue: Self.audioTimestamp(now)), packetCount: audioPackets,
                    octetCount: 0)
            }
        }
        guard sendsVideo else { return }
        for encoding in encodings where encoding.isOn {
            sendRTCP {
                $0.senderReport(
                    sender: SSRC(rawValue: encoding.sentSSRC), ntpTimestamp: ntp,
                    rtpTimestamp: RTPTimestamp(rawValue: encoding.timestamp(now)), packetCount: 1, octetCount: 1)
            }
        }
    }

    func nack(_ ssrc: UInt32, _ lost: [UInt16]) {
        let numbers = lost.map { SequenceNumber(rawValue: $0) }
        sendRTCP { _ = $0.nack(sender: SSRC(rawValue: 1), media: SSRC(rawValue: ssrc), lost: numbers.span) }
    }

    func requestKeyframe(_ ssrc: UInt32) {
        sendRTCP { $0.pictureLossIndication(sender: SSRC(rawValue: 1), media: SSRC(rawValue: ssrc)) }
    }

    // MARK: Receiving

    /// Takes an SRTP or SRTCP packet of the bridge.
    func receive(_ datagram: [UInt8], _ now: Instant) {
        guard let srtp else { return }
        if DatagramKind(datagram.span) == .rtcp {
            switch srtp.openRTCP(datagram) {
            case .success(let plain):
                let known = (rtcp.keyframeRequests.count, rtcp.nacks.count)
                rtcp.note(plain, at: now)
                obey(rtcp.keyframeRequests[known.0...], rtcp.nacks[known.1...], now)
            case .failure(let failure): failures.append(failure)
            }
            return
        }
        if let header = try? RTPHeader(parsing: datagram.span),
            losesDownstream(header.ssrc.rawValue, header.sequenceNumber.rawValue)
        {
            return
        }
        switch srtp.open(datagram) {
        case .success(let (plain, index)): note(plain, index, now)
        case .failure(let failure): failures.append(failure)
        }
    }

    private func note(_ plain: [UInt8], _ index: UInt64, _ now: Instant) {
        guard let header = try? RTPHeader(parsingPlaintext: plain.span) else { return failures.append(.malformed) }
        let payload = Array(plain[header.payloadRange])
        if header.payloadType.rawValue == Self.rtx {
            retransmissions.append(
                ReceivedRetransmission(
                    at: now, ssrc: header.ssrc.rawValue, payloadType: header.payloadType.rawValue,
                    original: UInt16(bytes: payload.prefix(2)), timestamp: header.timestamp.rawValue,
                    payload: Array(payload.dropFirst(2))))
            return
        }
        func element(_ id: UInt8) -> [UInt8]? {
            ExtensionID(rawValue: id).flatMap { header.element($0, in: plain.span) }.map { Array(plain[$0]) }
        }
        packets[header.ssrc.rawValue, default: []].append(
            ReceivedPacket(
                at: now, ssrc: header.ssrc.rawValue, index: index, payloadType: header.payloadType.rawValue,
                marker: header.marker, timestamp: header.timestamp.rawValue,
                audioLevel: element(Self.audioLevel)?.first,
                transportSequence: element(Self.transportSequence).map { UInt16(bytes: $0) }, payload: payload,
                descriptor: header.payloadType.rawValue == Self.vp8 ? VP8PayloadDescriptor(parsing: payload.span) : nil)
        )
    }

    /// Media of another client, audio or video as it is received.
    func received(_ ssrc: UInt32) -> [ReceivedPacket] { packets[ssrc] ?? [] }

    private func obey(
        _ requests: ArraySlice<(at: Instant, media: UInt32)>,
        _ nacks: ArraySlice<(at: Instant, media: UInt32, lost: [UInt16])>,
        _ now: Instant
    ) {
        if answersKeyframeRequests {
            for request in requests {
                for i in encodings.indices where encodings[i].sentSSRC == request.media {
                    encodings[i].needsKeyframe = true
                }
            }
        }
        guard answersNACKs else { return }
        for nack in nacks {
            for i in encodings.indices where encodings[i].sentSSRC == nack.media {
                for number in nack.lost { retransmit(number, encoding: i, now) }
            }
        }
    }

    private func retransmit(_ number: UInt16, encoding: Int, _ now: Instant) {
        guard let packet = encodings[encoding].cache[number] else { return }
        let index = encodings[encoding].takeRetransmissionIndex()
        send(
            number.bytes + packet.payload, as: Self.rtx, ssrc: encodings[encoding].rtx, index: index,
            timestamp: packet.timestamp, marker: packet.marker, elements: [], origin: nil, now)
    }
}

extension PacketOrigin {
    var bytes: [UInt8] { ssrc.bytes + sequence.bytes }
}
