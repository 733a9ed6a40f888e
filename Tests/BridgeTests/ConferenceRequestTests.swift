// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@testable import Bridge

/// What COLIBRI requests do to conferences, and what is answered.
struct ConferenceRequestTests {
    private static func bridge(_ configure: (inout ShardConfiguration) -> Void = { _ in }) throws -> VirtualBridge {
        try VirtualBridge(configure)
    }

    private static func endpoint(_ id: String, create: Bool = true) -> EndpointModify {
        EndpointModify(
            id: id, create: create, transport: create ? TransportModify(iceControlling: true) : nil,
            capabilities: [Capability.sourceNames])
    }

    private static func error(_ result: Result<ConferenceModified, ColibriError>) -> ColibriError? {
        if case .failure(let error) = result { error } else { nil }
    }

    private static func audio(_ name: String, _ ssrc: UInt32) -> MediaSource {
        MediaSource(kind: .audio, name: name, sources: [SSRCDescription(ssrc: SSRC(rawValue: ssrc))])
    }

    // MARK: Conferences

    @Test func aConferenceIsMadeOnceAndAnswersInOrder() throws {
        let bridge = try Self.bridge()
        let id = VirtualBridge.meetingID
        let first = bridge.modify(ConferenceModify(meetingID: id, create: true, endpoints: [Self.endpoint("a")]))
        let second = bridge.modify(ConferenceModify(meetingID: id, create: true, endpoints: [Self.endpoint("b")]))
        let update = bridge.modify(EndpointModify(id: "a", sources: []))
        let end = bridge.modify(ConferenceModify(meetingID: id, expire: true))
        let late = bridge.modify(EndpointModify(id: "a", sources: []))
        let again = bridge.modify(ConferenceModify(meetingID: id, create: true, endpoints: [Self.endpoint("a")]))
        #expect(Self.error(first) == nil)
        #expect(Self.error(second) == .conferenceAlreadyExists(id))
        #expect(Self.error(second)?.condition == .conflict)
        #expect(Self.error(second)?.reason == .conferenceAlreadyExists)
        #expect(Self.error(update) == nil)
        #expect(Self.error(end) == nil)
        #expect(Self.error(late) == .conferenceNotFound(id))
        #expect(Self.error(late)?.condition == .itemNotFound)
        #expect(Self.error(again) == nil)
        #expect(bridge.snapshot().endpoints == 1)
        #expect(bridge.snapshot().conferencesCompleted == 1)
        let ids = bridge.events.compactMap { if case .modified(let id, _) = $0 { id.rawValue } else { nil } }
        #expect(ids == ids.sorted())
    }

    @Test func meetingsDoNotKnowEachOther() throws {
        let bridge = try Self.bridge()
        for meeting in ["one", "two"] {
            _ = try bridge.modify(ConferenceModify(meetingID: meeting, create: true, endpoints: [Self.endpoint("a")]))
                .get()
        }
        _ = try bridge.modify(ConferenceModify(meetingID: "one", expire: true)).get()
        #expect(bridge.snapshot().meetings.map(\.meetingID) == ["two"])
    }

    @Test func anExpiryOfAnUnknownConferenceIsAnError() throws {
        let bridge = try Self.bridge()
        #expect(
            Self.error(bridge.modify(ConferenceModify(meetingID: "x", expire: true))) == .conferenceNotFound("x"))
    }

    @Test func anUpdateThatLeavesNobodyEndsTheConference() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        let answer = try bridge.modify(EndpointModify(id: "a", expire: true)).get()
        #expect(answer.endpoints == [EndpointModified(id: "a", expired: true)])
        #expect(bridge.snapshot().conferences == 0)
    }

    @Test func aRequestThatFailsChangesNothing() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        let before = bridge.snapshot()
        let broken = ConferenceModify(
            meetingID: VirtualBridge.meetingID,
            endpoints: [
                EndpointModify(id: "a", expire: true),
                EndpointModify(id: "b", create: true, transport: TransportModify()),
                EndpointModify(id: "ghost", sources: []),
            ])
        #expect(Self.error(bridge.modify(broken)) == .unknownEndpoint("ghost"))
        let after = bridge.snapshot()
        #expect(after.endpoints == before.endpoints)
        #expect(after.endpointsCreated == before.endpointsCreated)
        #expect(after.conferences == 1)
    }

    @Test func aConferenceWhoseFirstRequestFailsDoesNotStay() throws {
        let bridge = try Self.bridge()
        let broken = EndpointModify(id: "a", create: true)
        #expect(Self.error(bridge.modify(broken, create: true))?.condition == .badRequest)
        #expect(bridge.snapshot().conferences == 0)
        #expect(Self.error(bridge.modify(Self.endpoint("a"), create: true)) == nil, "so that it can be tried again")
    }

    @Test func feedbackSourcesComeWithEveryNewcomerAndStayTheSame() throws {
        let bridge = try Self.bridge()
        let first = try bridge.modify(Self.endpoint("a"), create: true).get()
        let sources = try #require(first.sources)
        #expect(sources.map(\.kind) == [.audio, .video])
        #expect(sources.map(\.name) == ["jvb-a0", "jvb-v0"])
        #expect(Set(sources.flatMap(\.sources).map(\.ssrc)).count == 2)
        #expect(try bridge.modify(Self.endpoint("b")).get().sources == sources)
        #expect(try bridge.modify(EndpointModify(id: "a", sources: [])).get().sources == nil)
        #expect(try bridge.modify(EndpointModify(id: "b", expire: true)).get().sources == nil)
    }

    // MARK: Endpoints

    @Test func anEndpointIsMadeOnce() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        let error = try #require(Self.error(bridge.modify(Self.endpoint("a"))))
        #expect(error.condition == .conflict)
        #expect(error.reason == nil)
        #expect(bridge.snapshot().endpoints == 1)
    }

    @Test func anUpdateOfAnUnknownEndpointNamesIt() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        for request in [
            EndpointModify(id: "b", sources: []), EndpointModify(id: "b", transport: TransportModify()),
            EndpointModify(id: "b", media: VirtualClient.media),
        ] {
            let error = try #require(Self.error(bridge.modify(request)))
            #expect(error.condition == .itemNotFound)
            #expect(error.reason == .unknownEndpoint)
            #expect(error.endpointID == "b")
        }
    }

    @Test func mutesAndExpiriesOfUnknownEndpointsAreForgiven() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        let request = ConferenceModify(
            meetingID: VirtualBridge.meetingID,
            endpoints: [
                EndpointModify(id: "x", forceMute: .init(audio: true, video: true)),
                EndpointModify(id: "y", expire: true),
                EndpointModify(id: "a", forceMute: .init(audio: true, video: false)),
            ])
        let answer = try bridge.modify(request).get()
        #expect(
            answer.endpoints == [
                EndpointModified(id: "x"), EndpointModified(id: "y", expired: true), EndpointModified(id: "a"),
            ])
        #expect(bridge.snapshot().endpoints == 1)
    }

    @Test func theTransportIsDescribedOnCreationAndOnRestartOnly() throws {
        let bridge = try Self.bridge()
        let created = try #require(try bridge.modify(Self.endpoint("a"), create: true).get().endpoints.first)
        let ice = try #require(created.transport?.ice)
        #expect(ice.ufrag?.rawValue.first == "a", "the first character tells the shard")
        #expect(ice.pwd != nil)
        #expect(ice.generation == nil)
        #expect(ice.rtcpMux)
        #expect(ice.fingerprints.map(\.fingerprint) == [try #require(VirtualBridge.identity).fingerprint])
        #expect(ice.fingerprints.map(\.setup) == [.actpass])
        #expect(ice.candidates.map(\.address) == [VirtualBridge.address])
        #expect(created.transport?.sctp == nil)
        let updates = [
            EndpointModify(id: "a", media: VirtualClient.media),
            EndpointModify(id: "a", sources: [Self.audio("a-a0", 1)]),
            EndpointModify(id: "a", transport: TransportModify(ice: ICETransportDescription())),
            EndpointModify(id: "a", forceMute: .init(audio: true, video: true)),
        ]
        for update in updates { #expect(try bridge.modify(update).get().endpoints == [EndpointModified(id: "a")]) }
    }

    @Test func aRestartOfWhatNeverConnectedKeepsTheTransport() throws {
        let bridge = try Self.bridge()
        let created = try bridge.modify(Self.endpoint("a"), create: true).get().endpoints.first?.transport?.ice
        let answer = try bridge.modify(EndpointModify(id: "a", transport: TransportModify(iceRestart: true))).get()
        let kept = try #require(answer.endpoints.first?.transport?.ice)
        #expect(kept.ufrag == created?.ufrag)
        #expect(kept.pwd == created?.pwd)
        #expect(kept.generation == nil)
    }

    @Test(arguments: [
        (SCTPDescription(), nil), (SCTPDescription(role: .server, port: 5000), nil), (SCTPDescription(port: 5000), nil),
        (SCTPDescription(role: .client), StanzaErrorCondition.featureNotImplemented),
        (SCTPDescription(port: 5001), .badRequest),
    ])
    func theDataChannelIsOursToServe(sctp: SCTPDescription, condition: StanzaErrorCondition?) throws {
        let bridge = try Self.bridge()
        var request = Self.endpoint("a")
        request.transport?.sctp = sctp
        let result = bridge.modify(request, create: true)
        let error = Self.error(result)
        #expect(error?.condition == condition)
        #expect(error?.reason == nil)
        if condition == nil { #expect(try result.get().endpoints.first?.transport?.sctp == .server) }
    }

    @Test func withoutSCTPADataChannelIsRefused() throws {
        let bridge = try Self.bridge { $0.sctpEnabled = false }
        var request = Self.endpoint("a")
        request.transport?.sctp = SCTPDescription()
        #expect(Self.error(bridge.modify(request, create: true))?.condition == .featureNotImplemented)
    }

    @Test func aFullBridgeSaysSoAndGoesOn() throws {
        let bridge = try Self.bridge { $0.endpointLimit = 2 }
        bridge.modify(Self.endpoint("a"), create: true)
        bridge.modify(Self.endpoint("b"))
        #expect(Self.error(bridge.modify(Self.endpoint("c")))?.condition == .resourceConstraint)
        #expect(Self.error(bridge.modify(EndpointModify(id: "a", sources: []))) == nil)
        bridge.modify(EndpointModify(id: "a", expire: true))
        #expect(Self.error(bridge.modify(Self.endpoint("c"))) == nil)
    }

    @Test func aVisitorHasNoSources() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        var visitor = Self.endpoint("v")
        visitor.mucRole = .visitor
        visitor.sources = [Self.audio("v-a0", 5)]
        #expect(Self.error(bridge.modify(visitor))?.condition == .badRequest)
        visitor.sources = []
        #expect(Self.error(bridge.modify(visitor)) == nil)
        let later = EndpointModify(id: "v", sources: [Self.audio("v-a0", 5)])
        #expect(Self.error(bridge.modify(later))?.condition == .badRequest)
    }

    @Test func sourcesAreReplacedAsAWholeOrLeftAlone() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        func names() -> [String] {
            bridge.shard.conferences[VirtualBridge.meetingID]?.endpoint("a")?.sources.map(\.name) ?? []
        }
        bridge.modify(EndpointModify(id: "a", sources: [Self.audio("x", 1), Self.audio("y", 2)]))
        #expect(names() == ["x", "y"])
        bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: false, video: false)))
        #expect(names() == ["x", "y"])
        bridge.modify(EndpointModify(id: "a", sources: [Self.audio("y", 2), Self.audio("z", 3)]))
        #expect(names() == ["y", "z"])
        bridge.modify(EndpointModify(id: "a", sources: []))
        #expect(names().isEmpty)
    }

    @Test func sourcesThatMakeNoSenseAreIgnored() throws {
        let bridge = try Self.bridge()
        bridge.modify(Self.endpoint("a"), create: true)
        let twice = MediaSource(
            kind: .video, name: "twice", sources: [1, 1, 2].map { SSRCDescription(ssrc: SSRC(rawValue: $0)) },
            groups: [
                SSRCGroup(semantics: .simulcast, ssrcs: [1, 1, 2].map(SSRC.init(rawValue:))),
                SSRCGroup(semantics: .retransmission, ssrcs: [1, 1].map(SSRC.init(rawValue:))),
            ])
        let many = MediaSource(
            kind: .video, name: "many", sources: (100..<150).map { SSRCDescription(ssrc: SSRC(rawValue: $0)) })
        let request = EndpointModify(
            id: "a", sources: [MediaSource(kind: .audio, name: "none"), twice, many, Self.audio("stolen", 2)])
        #expect(Self.error(bridge.modify(request)) == nil)
        let sources = bridge.shard.conferences[VirtualBridge.meetingID]?.endpoint("a")?.sources ?? []
        #expect(sources.map(\.name) == ["twice", "many"])
        #expect(sources.map(\.encodings.count) == [2, 8])
        bridge.modify(EndpointModify(id: "a", sources: []))
        #expect(bridge.shard.conferences[VirtualBridge.meetingID]?.endpoint("a")?.streams.isEmpty == true)
    }

    // MARK: What endpoints are told

    @Test func privateAddressesAreForThoseWhoCanReachThem() throws {
        let home = TransportAddress(ip: .v4(0xC0A8_0001), port: 10_000)
        let bridge = try Self.bridge {
            $0.advertisesPrivateCandidates = false
            $0.candidates = [
                AdvertisedCandidate(address: home, kind: .host),
                AdvertisedCandidate(address: VirtualBridge.address, kind: .mapped(base: home)),
            ]
        }
        var near = Self.endpoint("near")
        near.capabilities.insert(Capability.privateAddressConnectivity)
        let told = try bridge.modify(near, create: true).get().endpoints.first?.transport?.ice?.candidates ?? []
        #expect(told.map(\.address) == [home, VirtualBridge.address])
        #expect(told.last?.related == home)
        let far = try bridge.modify(Self.endpoint("far")).get().endpoints.first?.transport?.ice?.candidates ?? []
        #expect(far.map(\.address) == [VirtualBridge.address])
        #expect(far.last?.related == TransportAddress(ip: .v4(0), port: 9))
        #expect(Set((told + far).map(\.id)).count == 3, "ids differ between endpoints")
    }

    @Test func aWebSocketNeedsItsPassword() throws {
        let bridge = try Self.bridge { $0.webSocketPrefixes = ["wss://example.com/colibri-ws/1"] }
        let answer = try bridge.modify(Self.endpoint("a"), create: true).get()
        let url = try #require(answer.endpoints.first?.transport?.ice?.webSockets.first)
        let conference = try #require(bridge.snapshot().meetings.first?.conferenceID)
        #expect(url.hasPrefix("wss://example.com/colibri-ws/1/\(conference)/a?pwd="))
        let password = try #require(url.split(separator: "=").last.map(String.init))
        func door(_ conference: String, _ endpoint: String, _ password: String) -> EndpointHandle? {
            let request = RequestID(rawValue: .random(in: 1_000_000...UInt64.max))
            bridge.shard.perform(
                .authorizeWebSocket(conference: conference, endpoint: endpoint, password: password, request),
                now: bridge.now)
            bridge.collect()
            for case .webSocketAuthorized(request, let handle) in bridge.events { return handle }
            return nil
        }
        #expect(door(conference, "a", password) != nil)
        for wrong in ["", "x", String(password.dropLast()), password + "0", String(password.dropLast()) + "g"] {
            #expect(door(conference, "a", wrong) == nil)
        }
        #expect(door(conference, "b", password) == nil)
        #expect(door(VirtualBridge.meetingID, "a", password) == nil, "the meeting id is no secret and no address")
    }

    @Test func detailsShowTheMeetingAsItStands() throws {
        let call = try CallTests.Call()
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        call.bridge.shard.perform(
            .conferenceDetails(meetingID: VirtualBridge.meetingID, RequestID(rawValue: 9_999_999)), now: call.bridge.now
        )
        call.bridge.collect()
        var found: ConferenceDetails?
        for case .conferenceDetails(_, let details) in call.bridge.events { found = details }
        let details = try #require(found)
        #expect(details.endpoints.map(\.id) == ["a", "b", "c"])
        #expect(details.endpoints.allSatisfy { $0.connected })
        #expect(details.endpoints.map { $0.sources.count } == [2, 2, 2])
        #expect(Set(details.endpoints[1].forwardedSources) == ["a-v0", "c-v0"])
    }
}
