// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import RTP
import Testing

/// The bridge channel in a call: what clients say and what they are told.
struct ChannelTests {
    private typealias Call = CallTests.Call

    private static func names(_ message: JSONValue?, _ key: String) -> [String] {
        message?[key]?.array?.compactMap(\.string) ?? ["no \(key)"]
    }

    @Test func clientsAreToldWhichSourcesTheyGet() throws {
        let call = try Call()
        #expect(Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == [])
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        let told = call.bridge.messages(call.b, "ForwardedSources")
        #expect(Set(Self.names(told.last, "forwardedSources")) == ["a-v0", "c-v0"])
        call.bridge.leave(call.c)
        call.bridge.run(.milliseconds(100))
        #expect(
            Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == ["a-v0"])
        #expect(call.bridge.messages(call.b, "LastNEndpointsChangeEvent").isEmpty)
        #expect(call.bridge.messages(call.a, "ForwardedSources").count == 1, "nothing changed for the others")
    }

    @Test func clientsWithoutSourceNamesAreToldEndpoints() throws {
        let call = try Call(capabilities: [])
        call.bridge.say(
            call.b,
            #"{"colibriClass":"ReceiverVideoConstraints","constraints":{"a":{"maxHeight":360}},"defaultConstraints":{"maxHeight":0}}"#
        )
        call.bridge.run(.seconds(2))
        #expect(
            Self.names(call.bridge.messages(call.b, "LastNEndpointsChangeEvent").last, "lastNEndpoints") == ["a"])
        #expect(call.bridge.messages(call.b, "ForwardedSources").isEmpty)
        #expect(call.b.received(call.a.videoSSRC).last?.origin?.ssrc == call.a.encodings[1].ssrc)
        #expect(call.b.received(call.c.videoSSRC).isEmpty)
        let told = call.bridge.messages(call.a, "SenderVideoConstraints")
        #expect(told.last?["videoConstraints"]?["idealHeight"]?.int64 == 360)
        #expect(call.bridge.messages(call.a, "SenderSourceConstraints").isEmpty)
    }

    @Test func sendersAreToldTheMostThatAnybodyWants() throws {
        let call = try Call()
        call.bridge.run(.milliseconds(100))
        func told() -> [Int64] {
            call.bridge.messages(call.a, "SenderSourceConstraints").filter { $0["sourceName"]?.string == "a-v0" }
                .compactMap { $0["maxHeight"]?.int64 }
        }
        #expect(told().isEmpty, "nobody has said anything yet")
        call.bridge.want(call.b, 180)
        call.bridge.run(.milliseconds(100))
        call.bridge.want(call.c, 720)
        call.bridge.run(.milliseconds(100))
        call.bridge.want(call.b, 360)
        call.bridge.run(.milliseconds(100))
        #expect(told() == [180, 720])
        call.bridge.leave(call.c)
        call.bridge.run(.milliseconds(100))
        #expect(told() == [180, 720, 360])
        call.bridge.want(call.b, -1)
        call.bridge.run(.milliseconds(100))
        #expect(told().last == -1, "no limit")
    }

    @Test func whoCannotReceiveVideoAsksNobodyForIt() throws {
        let bridge = try VirtualBridge()
        let sender = VirtualClient("s", 1)
        try bridge.join(sender)
        let listener = VirtualClient("l", 2, encodings: 0)
        var request = listener.endpoint()
        request.media = Array(VirtualClient.media.prefix(1))
        bridge.modify(request)
        try bridge.openChannel(of: listener)
        bridge.want(listener, 720)
        bridge.run(.milliseconds(100))
        #expect(
            bridge.messages(sender, "SenderSourceConstraints").compactMap { $0["maxHeight"]?.int64 } == [0],
            "a height that nobody gets need not be encoded")
    }

    @Test func lastNLimitsTheNumberOfVideos() throws {
        let call = try Call()
        call.bridge.want(call.b, 180, lastN: 1)
        call.bridge.run(.seconds(1))
        #expect(Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources").count == 1)
        #expect(call.b.received(call.a.videoSSRC).isEmpty != call.b.received(call.c.videoSSRC).isEmpty)
        call.bridge.say(call.b, #"{"colibriClass":"LastNChangedEvent","lastN":0}"#)
        call.bridge.run(.milliseconds(30))
        let mark = call.bridge.now
        call.bridge.run(.seconds(1))
        #expect([call.a, call.c].allSatisfy { call.b.received($0.videoSSRC).since(mark).isEmpty })
        call.bridge.say(call.b, #"{"colibriClass":"LastNChangedEvent","lastN":-1}"#)
        call.bridge.run(.seconds(1))
        #expect([call.a, call.c].allSatisfy { call.b.received($0.videoSSRC).since(mark).count > 15 })
        #expect(call.b.failures.isEmpty)
    }

    @Test func initialLastNHoldsUntilTheClientSpeaks() throws {
        let bridge = try VirtualBridge()
        let senders = [VirtualClient("a", 1), VirtualClient("b", 2)]
        for sender in senders { try bridge.join(sender) }
        let receiver = VirtualClient("r", 3, encodings: 0)
        var request = receiver.endpoint()
        request.initialLastN = 1
        bridge.modify(request)
        try bridge.openChannel(of: receiver)
        bridge.say(receiver, #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":180}}"#)
        bridge.run(.milliseconds(100))
        #expect(Self.names(bridge.messages(receiver, "ForwardedSources").last, "forwardedSources").count == 1)
        bridge.want(receiver, 180, lastN: 2)
        bridge.run(.milliseconds(100))
        #expect(Self.names(bridge.messages(receiver, "ForwardedSources").last, "forwardedSources").count == 2)
    }

    @Test func theDominantSpeakerIsAnnouncedAndComesFirst() throws {
        let call = try Call()
        for client in call.all { client.audioLevel = 110 }
        call.bridge.run(.seconds(3))
        func speaks(_ client: VirtualClient) {
            for other in call.all { other.audioLevel = other === client ? 15 : 110 }
            call.bridge.run(.seconds(5))
        }
        speaks(call.c)
        var told = call.bridge.messages(call.b, "DominantSpeakerEndpointChangeEvent")
        #expect(told.last?["dominantSpeakerEndpoint"]?.string == "c")
        call.bridge.want(call.b, 180, lastN: 1)
        call.bridge.run(.milliseconds(100))
        #expect(Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == ["c-v0"])
        speaks(call.a)
        told = call.bridge.messages(call.b, "DominantSpeakerEndpointChangeEvent")
        #expect(told.last?["dominantSpeakerEndpoint"]?.string == "a")
        #expect(Self.names(told.last, "previousSpeakers").first == "c", "newest first")
        #expect(Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == ["a-v0"])
        #expect(call.b.received(call.a.videoSSRC).count > 50)
        #expect(call.bridge.messages(call.a, "DominantSpeakerEndpointChangeEvent").count == told.count)
    }

    @Test func whatIsOnStageBeatsWhoSpeaks() throws {
        let call = try Call()
        call.bridge.say(
            call.b,
            #"{"colibriClass":"ReceiverVideoConstraints","lastN":1,"onStageSources":["c-v0"],"defaultConstraints":{"maxHeight":180},"constraints":{"c-v0":{"maxHeight":720}}}"#
        )
        call.bridge.run(.seconds(2))
        #expect(Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == ["c-v0"])
        #expect(call.b.received(call.c.videoSSRC).last?.origin?.ssrc == call.c.encodings[2].ssrc)
    }

    @Test func aSourceWithoutPicturesTakesNoPlace() throws {
        let call = try Call()
        call.bridge.want(call.b, 180, lastN: 1)
        call.bridge.run(.milliseconds(100))
        let first = Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources")
        let owner = first == ["a-v0"] ? call.a : call.c
        let other = owner === call.a ? call.c : call.a
        call.bridge.say(
            owner, #"{"colibriClass":"SourceVideoTypeMessage","sourceName":"\#(owner.videoName)","videoType":"none"}"#)
        call.bridge.run(.milliseconds(100))
        #expect(
            Self.names(call.bridge.messages(call.b, "ForwardedSources").last, "forwardedSources") == [other.videoName])
    }

    // MARK: Messages between clients

    @Test func endpointMessagesCarryTheNameOfTheirSender() throws {
        let call = try Call()
        call.bridge.say(
            call.a, #"{"colibriClass":"EndpointMessage","to":"","from":"b","msgPayload":{"type":"x","n":1}}"#)
        for receiver in [call.b, call.c] {
            let got = call.bridge.messages(receiver, "EndpointMessage")
            #expect(got.count == 1)
            #expect(got.last?["from"]?.string == "a", "a sender cannot lie about himself")
            #expect(got.last?["msgPayload"]?["n"]?.int64 == 1)
        }
        #expect(call.bridge.messages(call.a, "EndpointMessage").isEmpty)
        call.bridge.say(call.a, #"{"colibriClass":"EndpointMessage","to":"c","msgPayload":{}}"#)
        #expect(call.bridge.messages(call.b, "EndpointMessage").count == 1)
        #expect(call.bridge.messages(call.c, "EndpointMessage").count == 2)
        call.bridge.say(call.a, #"{"colibriClass":"EndpointStats","from":"c","bitrate":{"upload":3}}"#)
        #expect(call.bridge.messages(call.b, "EndpointStats").last?["from"]?.string == "a")
    }

    @Test func visitorsAreNotPassedOn() throws {
        let call = try Call()
        let visitor = VirtualClient("v", 4, encodings: 0)
        var request = visitor.endpoint()
        request.mucRole = .visitor
        request.sources = nil
        call.bridge.modify(request)
        try call.bridge.openChannel(of: visitor)
        call.bridge.say(visitor, #"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#)
        call.bridge.say(visitor, #"{"colibriClass":"EndpointStats","bitrate":{}}"#)
        #expect(call.bridge.messages(call.a, "EndpointMessage").isEmpty)
        #expect(call.bridge.messages(call.a, "EndpointStats").isEmpty)
        call.bridge.say(call.a, #"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#)
        #expect(call.bridge.messages(visitor, "EndpointMessage").count == 1, "but they may listen")
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}", #"{"colibriClass":7}"#, #"{"colibriClass":"EndpointMessage"}"#,
        #"{"colibriClass":"ReceiverVideoConstraints","lastN":"all"}"#, "\u{0}\u{1}",
        #"{"colibriClass":"LastNChangedEvent"}"#,
    ])
    func malformedMessagesAreCountedAndNothingElseHappens(text: String) throws {
        let call = try Call()
        let before = call.bridge.messages(call.b, "ForwardedSources").count
        call.bridge.say(call.b, text)
        call.bridge.run(.milliseconds(50))
        #expect(call.bridge.drops["channelMessageMalformed"] == 1)
        #expect(call.bridge.messages(call.b, "ForwardedSources").count == before)
    }

    @Test func messagesOfAnotherTimeAreIgnored() throws {
        let call = try Call()
        call.bridge.say(call.b, #"{"colibriClass":"PinnedEndpointChangedEvent","pinnedEndpoint":"a"}"#)
        #expect(call.bridge.drops == ["channelMessageUnknown": 1])
    }

    @Test func theWebSocketIsGreetedAndTheDataChannelIsNot() throws {
        let call = try Call()
        #expect(call.bridge.messages(call.a, "ServerHello").isEmpty)
        call.bridge.say(call.a, #"{"colibriClass":"ClientHello"}"#)
        #expect(call.bridge.messages(call.a, "ServerHello").count == 1)
        try call.bridge.openChannel(of: call.b, .webSocket)
        #expect(call.bridge.messages(call.b, "ServerHello").count == 1)
    }
}
