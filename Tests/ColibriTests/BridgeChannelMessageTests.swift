// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import RTP
import Testing

@Suite struct BridgeChannelMessageTests {
    private typealias FromClient = BridgeChannelMessage.FromClient
    private typealias ToClient = BridgeChannelMessage.ToClient

    private func parse(_ text: String) throws(BridgeChannelError) -> BridgeChannelMessage.FromClient {
        try BridgeChannelMessage.FromClient(bytes: Array(text.utf8))
    }

    /// Messages of the capture in one direction.
    private static func captured(_ direction: String) throws -> [JSONValue] {
        try Fixture.bytes("bridge-channel.jsonl").split(separator: UInt8(ascii: "\n")).map {
            try JSONValue(bytes: Array($0))
        }.filter { $0["dir"]?.string == direction }.map { try #require($0["msg"]) }
    }

    @Test func `reads every captured message of a client`() throws {
        var classes: [String: Int] = [:]
        for json in try Self.captured("client-to-bridge") {
            let message = try FromClient(bytes: json.serialized())
            let name = try #require(json["colibriClass"]?.string)
            classes[name, default: 0] += 1
            switch message {
            case .receiverVideoConstraints(let constraints):
                #expect(name == "ReceiverVideoConstraints")
                #expect(constraints.lastN.map { Int64($0) } == json["lastN"]?.int64)
                let height = json["defaultConstraints"]?["maxHeight"]?.int64
                #expect(constraints.defaultConstraints.map { Int64($0.maxHeight) } == height)
                let onStage = json["onStageSources"] ?? json["onStageEndpoints"]
                #expect(constraints.onStageSources == onStage?.array?.compactMap(\.string))
                let selected = json["selectedSources"] ?? json["selectedEndpoints"]
                #expect(constraints.selectedSources == selected?.array?.compactMap(\.string))
                #expect(constraints.constraints?.count == json["constraints"]?.object?.members.count)
            case .sourceVideoType(let source, let type):
                #expect(name == "SourceVideoTypeMessage" && source == json["sourceName"]?.string)
                #expect(type == (json["videoType"] == "none" ? VideoType.none : .camera))
            case .videoType(let type):
                #expect(name == "VideoTypeMessage")
                #expect(type == (json["videoType"] == "none" ? VideoType.none : .camera))
            case .endpointMessage(let message):
                #expect(name == "EndpointMessage" && message.to == "" && message.from == nil)
            case .endpointStats(let message):
                #expect(name == "EndpointStats" && .object(message.fields) == json)
            default: Issue.record("unexpected \(message)")
            }
        }
        #expect(classes.count == 5 && classes.values.allSatisfy { $0 > 1 })
    }

    @Test func `prints every captured message of the bridge`() throws {
        var classes: Set<String> = []
        for json in try Self.captured("bridge-to-client") {
            func names(_ field: String) throws -> [String] {
                try #require(json[field]?.array).compactMap(\.string)
            }
            func string(_ field: String) throws -> String { try #require(json[field]?.string) }
            let message: ToClient
            var expected = json
            let name = try string("colibriClass")
            switch name {
            case "ServerHello": message = .serverHello(version: nil)
            case "SenderSourceConstraints":
                message = .senderSourceConstraints(
                    sourceName: try string("sourceName"), maxHeight: Int(try #require(json["maxHeight"]?.int64)))
            case "SenderVideoConstraints":
                let height = json["videoConstraints"]?["idealHeight"]?.int64
                message = .senderVideoConstraints(idealHeight: Int(try #require(height)))
            case "ForwardedSources": message = .forwardedSources(try names("forwardedSources"))
            case "LastNEndpointsChangeEvent": message = .lastNEndpoints(try names("lastNEndpoints"))
            case "DominantSpeakerEndpointChangeEvent":
                message = .dominantSpeaker(
                    endpoint: try string("dominantSpeakerEndpoint"), previousSpeakers: try names("previousSpeakers"),
                    silence: false)
                // JVB got this field after the capture was made.
                var object = try #require(json.object)
                object["silence"] = false
                expected = .object(object)
            case "EndpointMessage", "EndpointStats":
                var sent = ForwardedMessage(fields: try #require(json.object))
                let from = try #require(sent.from)
                sent.from = nil
                message = .endpointMessage(sent.stamped(from: from))
            default:
                Issue.record("unexpected \(name)")
                continue
            }
            classes.insert(name)
            #expect(try JSONValue(bytes: message.encoded()) == expected)
        }
        #expect(classes.count == 8)
    }

    @Test func `prints the messages that were not captured`() {
        func text(_ message: ToClient) -> String { String(decoding: message.encoded(), as: UTF8.self) }
        #expect(text(.serverHello(version: "2.3")) == #"{"colibriClass":"ServerHello","version":"2.3"}"#)
        let video = VideoSourceMapping(
            source: "e1a2b3c4-v0", owner: "e1a2b3c4", ssrc: SSRC(rawValue: 3911), rtx: SSRC(rawValue: 3912),
            videoType: .camera)
        #expect(
            text(.videoSourcesMap([video]))
                == #"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"e1a2b3c4-v0","owner":"e1a2b3c4","#
                + #""ssrc":3911,"rtx":3912,"videoType":"CAMERA"}]}"#)
        let audio = AudioSourceMapping(source: "a", owner: "b", ssrc: SSRC(rawValue: .max), mid: "a0")
        #expect(
            text(.audioSourcesMap([audio]))
                == #"{"colibriClass":"AudioSourcesMap","mappedSources":[{"source":"a","owner":"b","ssrc":4294967295,"#
                + #""mid":"a0"}]}"#)
        #expect(
            text(.endpointConnectivityStatus(endpoint: "e\"", active: false))
                == #"{"colibriClass":"EndpointConnectivityStatusChangeEvent","endpoint":"e\"","active":"false"}"#)
        #expect(
            text(.connectionStats(estimatedDownlinkBandwidth: 2_500_000))
                == #"{"colibriClass":"ConnectionStats","estimatedDownlinkBandwidth":2500000}"#)
        #expect(
            text(.dominantSpeaker(endpoint: "a", previousSpeakers: ["b"], silence: true))
                == #"{"colibriClass":"DominantSpeakerEndpointChangeEvent","dominantSpeakerEndpoint":"a","#
                + #""previousSpeakers":["b"],"silence":true}"#)
    }

    @Test(
        arguments: [
            (#"{"colibriClass":"ClientHello"}"#, .clientHello),
            (#"{"colibriClass":"ClientHello","future":[1]}"#, .clientHello),
            (#"{"colibriClass":"LastNChangedEvent","lastN":5}"#, .lastNChanged(5)),
            (#"{"colibriClass":"LastNChangedEvent","lastN":-1.0}"#, .lastNChanged(-1)),
            (
                #"{"colibriClass":"PinnedEndpointChangedEvent","x":1}"#,
                .unknown(colibriClass: "PinnedEndpointChangedEvent")
            ),
            (
                #"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a","videoType":"Desktop_High_FPS"}"#,
                .sourceVideoType(sourceName: "a", .desktopHighFPS)
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription"}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: false))
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription","all":true,"include":["a"],"exclude":["b","c"]}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: true, include: ["a"], exclude: ["b", "c"]))
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription","mode":"All","list":["a"]}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: true))
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription","mode":"NONE"}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: false))
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription","mode":"Include","list":["a"]}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: false, include: ["a"]))
            ),
            (
                #"{"colibriClass":"ReceiverAudioSubscription","mode":"Exclude","list":["a"]}"#,
                .receiverAudioSubscription(ReceiverAudioSubscription(all: true, exclude: ["a"]))
            ),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","lastN":null}"#,
                .receiverVideoConstraints(ReceiverVideoConstraints())
            ),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","assumedBandwidthBps":-1,"defaultConstraints":{}}"#,
                .receiverVideoConstraints(
                    ReceiverVideoConstraints(
                        defaultConstraints: VideoConstraints(maxHeight: -1), assumedBandwidth: -1))
            ),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","selectedSources":[],"selectedEndpoints":["a"],"#
                    + #""constraints":{"a":{"maxHeight":359.7,"maxFrameRate":7.5},"b":{"maxHeight":-1,"idealHeight":1}}}"#,
                .receiverVideoConstraints(
                    ReceiverVideoConstraints(
                        selectedSources: [],
                        constraints: [
                            "a": VideoConstraints(maxHeight: 359, maxFrameRate: 7.5),
                            "b": VideoConstraints(maxHeight: -1),
                        ]))
            ),
        ] as [(String, BridgeChannelMessage.FromClient)])
    func `reads the message`(_ text: String, _ message: BridgeChannelMessage.FromClient) throws {
        #expect(try parse(text) == message)
    }

    @Test(
        arguments: [
            ("", .notJSON(.malformed(offset: 0))), ("[]", .noClass), ("{}", .noClass), ("\"ClientHello\"", .noClass),
            (#"{"colibriClass":1}"#, .noClass), (#"{"colibriclass":"ClientHello"}"#, .noClass),
            (#"{"colibriClass":"LastNChangedEvent"}"#, .invalidField("lastN")),
            (#"{"colibriClass":"LastNChangedEvent","lastN":"5"}"#, .invalidField("lastN")),
            (#"{"colibriClass":"LastNChangedEvent","lastN":-2}"#, .invalidField("lastN")),
            (#"{"colibriClass":"LastNChangedEvent","lastN":1e300}"#, .invalidField("lastN")),
            (#"{"colibriClass":"VideoTypeMessage"}"#, .invalidField("videoType")),
            (#"{"colibriClass":"VideoTypeMessage","videoType":"hologram"}"#, .invalidField("videoType")),
            (#"{"colibriClass":"SourceVideoTypeMessage","videoType":"camera"}"#, .invalidField("sourceName")),
            (#"{"colibriClass":"EndpointMessage","msgPayload":1}"#, .invalidField("to")),
            (#"{"colibriClass":"EndpointMessage","to":null}"#, .invalidField("to")),
            (#"{"colibriClass":"EndpointMessage","to":["a"]}"#, .invalidField("to")),
            (#"{"colibriClass":"ReceiverAudioSubscription","mode":"Some"}"#, .invalidField("mode")),
            (#"{"colibriClass":"ReceiverAudioSubscription","mode":1}"#, .invalidField("mode")),
            (#"{"colibriClass":"ReceiverAudioSubscription","all":"true"}"#, .invalidField("all")),
            (#"{"colibriClass":"ReceiverAudioSubscription","include":"a"}"#, .invalidField("include")),
            (#"{"colibriClass":"ReceiverVideoConstraints","lastN":true}"#, .invalidField("lastN")),
            (#"{"colibriClass":"ReceiverVideoConstraints","selectedSources":[1]}"#, .invalidField("selectedSources")),
            (#"{"colibriClass":"ReceiverVideoConstraints","constraints":[]}"#, .invalidField("constraints")),
            (#"{"colibriClass":"ReceiverVideoConstraints","constraints":{"a":1}}"#, .invalidField("constraints")),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":-2}}"#,
                .invalidField("maxHeight")
            ),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxFrameRate":-2}}"#,
                .invalidField("defaultConstraints")
            ),
            (
                #"{"colibriClass":"ReceiverVideoConstraints","assumedBandwidthBps":-2}"#,
                .invalidField("assumedBandwidthBps")
            ),
            (
                #"{"colibriClass":"ClientHello","colibriClass":"ClientHello"}"#,
                .notJSON(.duplicateKey(offset: 44))
            ),
        ] as [(String, BridgeChannelError)])
    func `refuses the message`(_ text: String, _ error: BridgeChannelError) {
        #expect(throws: error) { try parse(text) }
    }

    @Test func `names and lists of names are limited`() throws {
        func message(count: Int, length: Int = 1) -> String {
            let name = String(repeating: "x", count: length)
            let list = Array(repeating: "\"\(name)\"", count: count).joined(separator: ",")
            return #"{"colibriClass":"ReceiverVideoConstraints","selectedSources":[\#(list)]}"#
        }
        #expect(throws: Never.self) { try parse(message(count: 512)) }
        #expect(throws: BridgeChannelError.tooManyNames("selectedSources")) { try parse(message(count: 513)) }
        #expect(throws: Never.self) { try parse(message(count: 1, length: 128)) }
        #expect(throws: BridgeChannelError.invalidField("selectedSources")) {
            try parse(message(count: 1, length: 129))
        }
        func map(_ count: Int, _ length: Int) -> String {
            let members = (0..<count).map { index in
                let key = String(index)
                return "\"\(String(repeating: "k", count: length - key.count))\(key)\":{\"maxHeight\":1}"
            }
            return #"{"colibriClass":"ReceiverVideoConstraints","constraints":{\#(members.joined(separator: ","))}}"#
        }
        #expect(throws: Never.self) { try parse(map(512, 10)) }
        #expect(throws: BridgeChannelError.tooManyNames("constraints")) { try parse(map(513, 10)) }
        #expect(throws: BridgeChannelError.invalidField("constraints")) { try parse(map(1, 129)) }
    }

    /// Nobody can speak for somebody else.
    @Test func `the sender of a forwarded message is the bridge's word`() throws {
        let text = #"{"colibriClass":"EndpointMessage","from":"liar","to":"b","msgPayload":{"a":[1,0.5,null]}}"#
        guard case .endpointMessage(let message) = try parse(text) else {
            Issue.record("not an EndpointMessage")
            return
        }
        #expect(message.to == "b" && message.from == "liar")
        let sent = String(decoding: ToClient.endpointMessage(message.stamped(from: "honest")).encoded(), as: UTF8.self)
        #expect(sent == text.replacing("liar", with: "honest"))
    }

    @Test func `survives mutation`() throws {
        var accepted = 0
        var refused = 0
        func check(_ bytes: [UInt8]) {
            do {
                _ = try FromClient(bytes: bytes)
                accepted += 1
            } catch {
                refused += 1
            }
        }
        var messages = try Self.captured("client-to-bridge").map { $0.serialized() }
        messages.append(
            Array(#"{"colibriClass":"ReceiverAudioSubscription","mode":"Include","list":["a"],"all":true}"#.utf8))
        var generator = SeededGenerator(state: 13)
        for message in messages {
            for length in message.indices { check(Array(message[..<length])) }
            for index in message.indices {
                for mask: UInt8 in [0x01, 0x04, 0x20, 0x80] {
                    var copy = message
                    copy[index] ^= mask
                    check(copy)
                }
            }
            for _ in 0..<100 {
                var copy = message
                for _ in 0..<3 {
                    copy[Int.random(in: 0..<copy.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                check(copy)
            }
        }
        #expect(accepted > 1000 && refused > 1000)
    }
}
