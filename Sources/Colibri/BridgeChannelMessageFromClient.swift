// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

extension BridgeChannelMessage {
    /// What a client says.
    public enum FromClient: Hashable, Sendable {
        /// To be answered with `serverHello`.
        case clientHello
        case receiverVideoConstraints(ReceiverVideoConstraints)
        /// How many videos at most, -1 for all.
        case lastNChanged(Int)
        case sourceVideoType(sourceName: String, VideoType)
        /// About the sender's first video source; from clients without source names.
        case videoType(VideoType)
        case receiverAudioSubscription(ReceiverAudioSubscription)
        /// To be stamped and passed to `to`, or to all others.
        case endpointMessage(ForwardedMessage)
        /// To be stamped and passed to those who want it.
        case endpointStats(ForwardedMessage)
        /// A class of an older or newer time, to be ignored; its name is cut at 64 characters.
        case unknown(colibriClass: String)

        /// Reads a message from its UTF-8 text of at most 64 kB. Fields nobody knows are ignored.
        public init(parsing text: Span<UInt8>) throws(BridgeChannelError) {
            let json: JSONValue
            do {
                json = try JSONValue(parsing: text)
            } catch {
                throw .notJSON(error)
            }
            guard let object = json.object, let colibriClass = object["colibriClass"]?.string else {
                throw .noClass
            }
            let fields = MessageFields(object)
            switch colibriClass {
            case "ClientHello":
                self = .clientHello
            case "ReceiverVideoConstraints":
                self = .receiverVideoConstraints(try ReceiverVideoConstraints(fields))
            case "LastNChangedEvent":
                guard let lastN = try fields.lastN() else { throw .invalidField("lastN") }
                self = .lastNChanged(lastN)
            case "SourceVideoTypeMessage":
                self = .sourceVideoType(sourceName: try fields.name("sourceName"), try fields.videoType())
            case "VideoTypeMessage":
                self = .videoType(try fields.videoType())
            case "ReceiverAudioSubscription":
                self = .receiverAudioSubscription(try ReceiverAudioSubscription(fields))
            case "EndpointMessage":
                // Without an addressee it might be private: not for everybody.
                _ = try fields.name("to")
                self = .endpointMessage(ForwardedMessage(fields: object))
            case "EndpointStats":
                self = .endpointStats(ForwardedMessage(fields: object))
            default:
                self = .unknown(colibriClass: String(colibriClass.prefix(64)))
            }
        }
    }
}
