// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One microphone, camera or screen of an endpoint, in one or more encodings (Jitsi: media source).

import Colibri
import RTP

final class Source {
    /// One simulcast encoding, or the only one.
    struct Encoding {
        let ssrc: SSRC
        let rtx: SSRC?
        let rid: Rid?
        let stream: ReceiveStream
    }

    let name: String
    let kind: MediaKind
    /// Place in the conference's table; forwarders of every receiver stand at the same place.
    let index: Int
    unowned let owner: Endpoint
    /// As signalled, to tell a repetition from a change.
    let description: MediaSource
    /// Lowest quality first.
    let encodings: [Encoding]
    var videoType: VideoType
    /// Highest picture that any receiver wants, in lines; what the sender was last told.
    var wantedHeight: Int?

    init(description: MediaSource, index: Int, owner: Endpoint, encodings: [Encoding]) {
        self.description = description
        name = description.name
        kind = description.kind
        self.index = index
        self.owner = owner
        self.encodings = encodings
        videoType = description.videoType ?? .camera
    }

    /// The SSRC that receivers see, whatever encoding they get: Jicofo tells them of the first one only.
    var primary: Encoding { encodings[0] }

    var sendsVideo: Bool { kind == .video && videoType != .none && videoType != .disabled }

    /// It may be forwarded: a forced mute stops it like a camera that was switched off.
    var isOffered: Bool { sendsVideo && !owner.forceMute.video }

    var isActive: Bool { encodings.contains { $0.stream.isActive } }

    var candidates: [EncodingSelector.Candidate] {
        encodings.map { EncodingSelector.Candidate(height: $0.stream.height, isActive: $0.stream.isActive) }
    }

    /// Whether a description says what this source was made of; the order in which it does is of no importance.
    func isDescribed(by other: MediaSource) -> Bool {
        description == other
            || description.kind == other.kind && description.name == other.name
                && description.isSynthetic == other.isSynthetic && Set(description.sources) == Set(other.sources)
                && Set(description.groups) == Set(other.groups)
    }

    /// The primary SSRCs of a description in order of quality with the RTX stream of each (RFC 5576 SIM and FID groups).
    static func layout(of description: MediaSource) -> [(ssrc: SSRC, rtx: SSRC?, rid: Rid?)] {
        var repairs: [SSRC: SSRC] = [:]
        var repairing = Set<SSRC>()
        var order: [SSRC] = []
        for group in description.groups {
            switch group.semantics {
            case .simulcast where order.isEmpty: order = group.ssrcs
            case .retransmission where group.ssrcs.count == 2:
                repairs[group.ssrcs[0]] = group.ssrcs[1]
                repairing.insert(group.ssrcs[1])
            case .forwardErrorCorrection: repairing.formUnion(group.ssrcs.dropFirst())
            case .simulcast, .retransmission: break
            }
        }
        if order.isEmpty {
            // Without a group every SSRC that repairs nothing is an encoding of its own; a camera has one.
            order = description.sources.map(\.ssrc).filter { !repairing.contains($0) }
        }
        var seen = Set<SSRC>()
        let rids = Dictionary(description.sources.map { ($0.ssrc, $0.rid) }, uniquingKeysWith: { first, _ in first })
        return order.filter { seen.insert($0).inserted }.map { ($0, repairs[$0], rids[$0] ?? nil) }
    }
}
