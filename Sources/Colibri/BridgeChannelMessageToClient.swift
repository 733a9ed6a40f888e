// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

extension BridgeChannelMessage {
    /// What the bridge says to a client.
    public enum ToClient: Hashable, Sendable {
        /// First message on a WebSocket, and the answer to `clientHello`.
        case serverHello(version: String?)
        /// `previousSpeakers` newest first, at most 10; `silence`: nobody speaks at the moment.
        case dominantSpeaker(endpoint: String, previousSpeakers: [String], silence: Bool)
        /// Names of the video sources being sent to this client.
        case forwardedSources([String])
        /// Which source is behind which rewritten SSRC; changes only, or all.
        case videoSourcesMap([VideoSourceMapping])
        case audioSourcesMap([AudioSourceMapping])
        /// The most anybody wants of a source of this client, in pixels, -1 for any.
        case senderSourceConstraints(sourceName: String, maxHeight: Int)
        case endpointConnectivityStatus(endpoint: String, active: Bool)
        /// Estimate of the client's downlink in bit/s.
        case connectionStats(estimatedDownlinkBandwidth: Int64)
        case endpointMessage(ForwardedMessage)
        case endpointStats(ForwardedMessage)
        /// Endpoints whose video is being sent; what clients without source names understand of `forwardedSources`.
        case lastNEndpoints([String])
        /// What clients without source names understand of `senderSourceConstraints`.
        case senderVideoConstraints(idealHeight: Int)

        /// The message as UTF-8 JSON text.
        public func encoded() -> [UInt8] { json().serialized() }

        func json() -> JSONValue {
            switch self {
            case .serverHello(let version):
                var message = JSONObject([.init(key: "colibriClass", value: "ServerHello")])
                message["version"] = version.map { .string($0) }
                return .object(message)
            case .dominantSpeaker(let endpoint, let previousSpeakers, let silence):
                return .object([
                    "colibriClass": "DominantSpeakerEndpointChangeEvent",
                    "dominantSpeakerEndpoint": .string(endpoint), "previousSpeakers": .names(previousSpeakers),
                    "silence": .bool(silence),
                ])
            case .forwardedSources(let names):
                return .object(["colibriClass": "ForwardedSources", "forwardedSources": .names(names)])
            case .videoSourcesMap(let mappings):
                return .object([
                    "colibriClass": "VideoSourcesMap", "mappedSources": .array(mappings.map { $0.json() }),
                ])
            case .audioSourcesMap(let mappings):
                return .object([
                    "colibriClass": "AudioSourcesMap", "mappedSources": .array(mappings.map { $0.json() }),
                ])
            case .senderSourceConstraints(let sourceName, let maxHeight):
                return .object([
                    "colibriClass": "SenderSourceConstraints", "sourceName": .string(sourceName),
                    "maxHeight": .integer(Int64(maxHeight)),
                ])
            case .endpointConnectivityStatus(let endpoint, let active):
                return .object([
                    "colibriClass": "EndpointConnectivityStatusChangeEvent", "endpoint": .string(endpoint),
                    // Jitsi: a string, and clients compare it with one.
                    "active": active ? "true" : "false",
                ])
            case .connectionStats(let bandwidth):
                return .object([
                    "colibriClass": "ConnectionStats", "estimatedDownlinkBandwidth": .integer(bandwidth),
                ])
            case .endpointMessage(let message), .endpointStats(let message):
                return .object(message.fields)
            case .lastNEndpoints(let endpoints):
                return .object(["colibriClass": "LastNEndpointsChangeEvent", "lastNEndpoints": .names(endpoints)])
            case .senderVideoConstraints(let idealHeight):
                return .object([
                    "colibriClass": "SenderVideoConstraints",
                    "videoConstraints": .object(["idealHeight": .integer(Int64(idealHeight))]),
                ])
            }
        }
    }
}

/// A video source and the SSRCs and MID this receiver sees it under.
public struct VideoSourceMapping: Hashable, Sendable {
    /// Source name.
    public var source: String
    /// Endpoint that sends it.
    public var owner: String
    public var ssrc: SSRC
    /// Where its retransmissions come (RFC 4588).
    public var rtx: SSRC
    public var videoType: VideoType
    public var mid: String?

    public init(
        source: String, owner: String, ssrc: SSRC, rtx: SSRC, videoType: VideoType, mid: String? = nil
    ) {
        self.source = source
        self.owner = owner
        self.ssrc = ssrc
        self.rtx = rtx
        self.videoType = videoType
        self.mid = mid
    }

    func json() -> JSONValue {
        var object = JSONObject([
            .init(key: "source", value: .string(source)), .init(key: "owner", value: .string(owner)),
            .init(key: "ssrc", value: .integer(Int64(ssrc.rawValue))),
            .init(key: "rtx", value: .integer(Int64(rtx.rawValue))),
            .init(key: "videoType", value: .string(videoType.rawValue)),
        ])
        object["mid"] = mid.map { .string($0) }
        return .object(object)
    }
}

/// An audio source and the SSRC and MID this receiver hears it under.
public struct AudioSourceMapping: Hashable, Sendable {
    /// Source name.
    public var source: String
    /// Endpoint that sends it.
    public var owner: String
    public var ssrc: SSRC
    public var mid: String?

    public init(source: String, owner: String, ssrc: SSRC, mid: String? = nil) {
        self.source = source
        self.owner = owner
        self.ssrc = ssrc
        self.mid = mid
    }

    func json() -> JSONValue {
        var object = JSONObject([
            .init(key: "source", value: .string(source)), .init(key: "owner", value: .string(owner)),
            .init(key: "ssrc", value: .integer(Int64(ssrc.rawValue))),
        ])
        object["mid"] = mid.map { .string($0) }
        return .object(object)
    }
}

extension JSONValue {
    fileprivate static func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
}
