// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Colibri

/// The way in and out of the brewery, and back again.
@Suite struct BreweryMembershipTests {
    static let room = "jvbbrewery@internal.auth.meet.lab"

    /// A room as seen by one bridge: what it says, and what the bridge said.
    struct Bench {
        var membership: BreweryMembership
        var sent: [XMLElement] = []

        init(timing: BreweryMembership.Timing = .init()) throws {
            let room = try #require(JID(BreweryMembershipTests.room))
            membership = try #require(
                BreweryMembership(
                    room: room, nickname: "jvb1", timing: timing,
                    statistics: BreweryPresence.statistics([("drain", "false")]), random: SeededGenerator(state: 5)))
        }

        mutating func say(_ text: String, at seconds: Double = 0) throws -> [XMLElement] {
            try membership.receive(#require(XMLElement(parsing: text)), now: .at(seconds))
        }

        mutating func own(
            _ codes: [Int] = [110], type: String = "", nick: String = "jvb1", extra: String = "", at seconds: Double = 0
        )
            throws -> [XMLElement]
        {
            try say(
                "<presence from='\(BreweryMembershipTests.room)/\(nick)' \(type)><x xmlns='\(XMLNamespace.mucUser)'>"
                    + codes.map { "<status code='\($0)'/>" }.joined() + extra + "</x></presence>", at: seconds)
        }

        mutating func error(_ condition: String, id: String? = nil, at seconds: Double = 0) throws -> [XMLElement] {
            try say(
                "<presence from='\(BreweryMembershipTests.room)/jvb1' type='error' \(id.map { "id='\($0)'" } ?? "")>"
                    + "<error type='cancel'><\(condition) xmlns='\(XMLNamespace.stanzas)'/></error></presence>",
                at: seconds)
        }

        /// The pause that has begun, in seconds.
        func pause(since seconds: Double) -> Double? {
            guard case .waiting(let until, _) = membership.state else { return nil }
            return (until - .at(seconds)).seconds
        }

        var refusal: BreweryRefusal? {
            if case .waiting(_, let refusal) = membership.state { refusal } else { nil }
        }

        mutating func enter(at seconds: Double = 0) throws {
            _ = membership.ready(now: .at(seconds))
            _ = try own(at: seconds)
            #expect(membership.isJoined)
        }
    }

    @Test func entersWithStatistics() throws {
        var bench = try Bench()
        #expect(bench.membership.state == .outside)
        let join = bench.membership.ready(now: .at(0))
        #expect(
            join.map(\.description) == [
                "<presence xmlns=\"jabber:client\" to=\"\(Self.room)/jvb1\" id=\"brewery-1\"><x xmlns=\"\(XMLNamespace.muc)\"/>"
                    + "<stats xmlns=\"\(XMLNamespace.colibri1)\"><stat name=\"drain\" value=\"false\"/></stats></presence>"
            ])
        #expect(bench.membership.state == .joining)
        // The others come first, ourselves last.
        #expect(try bench.own([], nick: "focus").isEmpty)
        #expect(bench.membership.state == .joining)
        #expect(try bench.own([100, 110]).isEmpty)
        #expect(bench.membership.isJoined)
        #expect(bench.membership.joins == 1)
    }

    @Test func laterPresencesAreForUpdatesOnly() throws {
        var bench = try Bench()
        try bench.enter()
        #expect(bench.membership.deadline == .at(5))
        bench.membership.statistics = BreweryPresence.statistics([("stress_level", "0.5")])
        #expect(bench.membership.tick(now: .at(4.9)).isEmpty)
        for round in 1...5 {
            let time = Double(round) * 5
            let update = bench.membership.tick(now: .at(time))
            #expect(update.count == 1)
            #expect(update.first?.first("x", XMLNamespace.muc) == nil)
            #expect(update.first?.first("stats", XMLNamespace.colibri1)?.children.first?["name"] == "stress_level")
            _ = try bench.own(at: time)
        }
        #expect(bench.membership.joins == 1)
        #expect(bench.membership.publish(now: .at(27)).count == 1)
        #expect(bench.membership.tick(now: .at(30)).isEmpty, "published at 27, so next at 32")
    }

    @Test func configuresARoomThatItCreated() throws {
        var bench = try Bench()
        _ = bench.membership.ready(now: .at(0))
        let stanzas = try bench.own([110, 201])
        #expect(bench.membership.isJoined)
        let iq = try #require(stanzas.first)
        #expect(stanzas.count == 1 && iq["type"] == "set" && iq["to"] == Self.room)
        let form = try #require(iq.first("query", XMLNamespace.mucOwner)?.first("x", XMLNamespace.dataForm))
        #expect(form["type"] == "submit")
        let fields = form.children.map { [$0["var"], $0.children.first?.text] }
        #expect(
            fields == [
                ["FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"], ["muc#roomconfig_whois", "anyone"],
            ])
        // The answer to that changes nothing.
        let id = try #require(iq["id"])
        #expect(try bench.say("<iq type='error' id='\(id)' from='\(Self.room)'><error/></iq>").isEmpty)
        #expect(bench.membership.isJoined)
    }

    @Test func aNameConflictIsTriedAgainAndAgainWithLongerPauses() throws {
        var bench = try Bench()
        var time = 0.0
        var join = bench.membership.ready(now: .at(time))
        for expected in [1.0, 2, 4, 8, 16, 30, 30, 30] {
            let id = try #require(join.first?["id"])
            #expect(join.first?["to"] == Self.room + "/jvb1", "the name stays")
            #expect(try bench.error("conflict", id: id, at: time).isEmpty)
            #expect(bench.refusal == .error(.conflict))
            let pause = try #require(bench.pause(since: time))
            #expect(pause >= expected && pause <= expected * 1.25, "\(pause)")
            #expect(bench.membership.tick(now: .at(time + pause - 0.01)).isEmpty)
            time += pause
            join = bench.membership.tick(now: .at(time))
            #expect(join.count == 1)
        }
        _ = try bench.own(at: time)
        #expect(bench.membership.isJoined)
    }

    @Test func pausesDifferFromBridgeToBridge() {
        let pauses = (UInt64(0)..<20).map { seed in
            var backOff = BreweryBackOff(random: SeededGenerator(state: seed))
            return backOff.next()
        }
        #expect(Set(pauses).count > 10)
    }

    static let removals: [([Int], String, BreweryRefusal)] = [
        ([110, 307], "<item affiliation='none' role='none'/>", .kicked),
        ([110, 301], "", .banned),
        ([110, 321], "", .removed),
        ([110, 332], "", .removed),
        ([110], "<destroy/>", .destroyed),
        ([], "<destroy jid='other@muc'><reason>gone</reason></destroy>", .destroyed),
        ([307], "", .kicked),
        ([110], "", .removed),
    ]

    @Test(arguments: removals)
    func comesBackAfterRemoval(_ codes: [Int], _ extra: String, _ refusal: BreweryRefusal) throws {
        var bench = try Bench()
        try bench.enter()
        #expect(try bench.own(codes, type: "type='unavailable'", extra: extra, at: 10).isEmpty)
        #expect(bench.refusal == refusal)
        #expect(bench.membership.tick(now: .at(10.9)).isEmpty)
        let join = bench.membership.tick(now: .at(11.3))
        #expect(join.first?.first("x", XMLNamespace.muc) != nil)
        _ = try bench.own(at: 11.4)
        #expect(bench.membership.isJoined)
        #expect(bench.membership.joins == 2)
    }

    @Test func beingKickedInALoopGetsSlower() throws {
        var bench = try Bench()
        try bench.enter()
        var time = 0.0
        for expected in [1.0, 2, 4, 8, 16, 30, 30] {
            _ = try bench.own([110, 307], type: "type='unavailable'", at: time)
            let pause = try #require(bench.pause(since: time))
            #expect(pause >= expected && pause <= expected * 1.25)
            time += pause
            _ = bench.membership.tick(now: .at(time))
            _ = try bench.own(at: time)
        }
        // A minute inside counts as well again.
        _ = try bench.own([110, 307], type: "type='unavailable'", at: time + 61)
        #expect(try #require(bench.pause(since: time + 61)) < 1.3)
    }

    @Test func otherOccupantsMayComeAndGo() throws {
        var bench = try Bench()
        try bench.enter()
        #expect(try bench.own([], type: "type='unavailable'", nick: "focus").isEmpty)
        #expect(try bench.own([307], type: "type='unavailable'", nick: "jvb2").isEmpty)
        #expect(try bench.own([], nick: "jvb2").isEmpty)
        #expect(try bench.say("<presence from='other@muc/jvb1' type='error'><error/></presence>").isEmpty)
        #expect(try bench.say("<message from='\(Self.room)' type='groupchat'><subject/></message>").isEmpty)
        #expect(bench.membership.isJoined)
    }

    @Test func anErrorInsideMeansOutside() throws {
        var bench = try Bench()
        try bench.enter()
        _ = try bench.error("not-acceptable", at: 20)
        #expect(bench.refusal == .error(.notAcceptable))
        #expect(bench.membership.tick(now: .at(22)).count == 1)
    }

    @Test func anUnknownConditionIsSurvived() throws {
        var bench = try Bench()
        _ = bench.membership.ready(now: .at(0))
        _ = try bench.say("<presence from='\(Self.room)' type='error'/>")
        #expect(bench.refusal == .error(.undefinedCondition))
    }

    @Test func theErrorOfAnAttemptGivenUpDoesNotEndTheNext() throws {
        var bench = try Bench()
        _ = bench.membership.ready(now: .at(0))
        #expect(bench.membership.deadline == .at(30))
        #expect(bench.membership.tick(now: .at(30)).isEmpty)
        #expect(bench.refusal == .timeout)
        // Late answers to the first attempt, while waiting and during the second.
        _ = try bench.error("remote-server-timeout", id: "brewery-1", at: 30.5)
        #expect(bench.refusal == .timeout)
        #expect(bench.membership.tick(now: .at(32)).first?["id"] == "brewery-2")
        _ = try bench.error("remote-server-timeout", id: "brewery-1", at: 32)
        #expect(bench.membership.state == .joining)
        _ = try bench.error("remote-server-timeout", id: "brewery-2", at: 33)
        #expect(bench.refusal == .error(.remoteServerTimeout))
    }

    @Test func comesBackOnANewStream() throws {
        var bench = try Bench()
        try bench.enter()
        bench.membership.disconnected()
        #expect(bench.membership.state == .outside)
        #expect(bench.membership.deadline == nil)
        #expect(bench.membership.tick(now: .at(100)).isEmpty)
        #expect(try bench.own().isEmpty)
        #expect(bench.membership.state == .outside)
        let join = bench.membership.ready(now: .at(101))
        #expect(join.first?.first("x", XMLNamespace.muc) != nil)
        #expect(join.first?.first("stats", XMLNamespace.colibri1) != nil)
        _ = try bench.own(at: 101)
        #expect(bench.membership.joins == 2)
    }

    @Test func aPauseEndsWithTheStream() throws {
        var bench = try Bench()
        _ = bench.membership.ready(now: .at(0))
        _ = try bench.error("conflict")
        bench.membership.disconnected()
        #expect(bench.membership.tick(now: .at(100)).isEmpty)
        #expect(bench.membership.ready(now: .at(200)).count == 1)
    }

    @Test func staysOutAfterLeaving() throws {
        var bench = try Bench()
        try bench.enter()
        let leave = bench.membership.leave()
        #expect(
            leave.map(\.description) == [
                "<presence xmlns=\"jabber:client\" to=\"\(Self.room)/jvb1\" type=\"unavailable\"/>"
            ])
        #expect(try bench.own(type: "type='unavailable'").isEmpty)
        #expect(bench.membership.tick(now: .at(100)).isEmpty)
        #expect(bench.membership.leave().isEmpty)
        bench.membership.disconnected()
        #expect(bench.membership.ready(now: .at(200)).isEmpty)
        #expect(bench.membership.enter(now: .at(201)).count == 1)
        #expect(bench.membership.enter(now: .at(201)).isEmpty)
        // The echo of an earlier leaving does not end the new stay.
        _ = try bench.own(type: "type='unavailable'", at: 201)
        #expect(bench.membership.state == .joining)
    }

    @Test func followsARenamingByTheRoom() throws {
        var bench = try Bench()
        try bench.enter()
        _ = try bench.own([110, 303], type: "type='unavailable'", extra: "<item nick='jvb1-2'/>", at: 1)
        _ = try bench.own([110], nick: "jvb1-2", at: 1)
        #expect(bench.membership.isJoined && bench.membership.joins == 1)
        #expect(bench.membership.tick(now: .at(5)).first?["to"] == Self.room + "/jvb1-2")
        // Put out under the new name, it comes back under its own.
        _ = try bench.own([110, 307], type: "type='unavailable'", nick: "jvb1-2", at: 6)
        #expect(bench.membership.tick(now: .at(10)).first?["to"] == Self.room + "/jvb1")
    }

    static let selfPingAnswers: [(String, Bool)] = [
        ("not-acceptable", false), ("not-allowed", false), ("bad-request", false), ("service-unavailable", true),
        ("feature-not-implemented", true), ("item-not-found", true), ("remote-server-timeout", true),
    ]

    @Test(arguments: selfPingAnswers)
    func asksWhetherItIsStillInside(_ condition: String, _ isInside: Bool) throws {
        var bench = try Bench(timing: Self.timing { $0.presenceInterval = .seconds(1000) })
        try bench.enter()
        let ping = try #require(bench.membership.tick(now: .at(60)).first)
        #expect(ping["to"] == Self.room + "/jvb1" && ping.first("ping", XMLNamespace.ping) != nil)
        let id = try #require(ping["id"])
        _ = try bench.say(
            "<iq type='error' id='\(id)' from='\(Self.room)/jvb1'><error type='cancel'><\(condition) "
                + "xmlns='\(XMLNamespace.stanzas)'/></error></iq>", at: 61)
        #expect(bench.membership.isJoined == isInside)
    }

    @Test func twoSelfPingsWithoutAnswerMeanOutside() throws {
        var bench = try Bench(timing: Self.timing { $0.presenceInterval = .seconds(1000) })
        try bench.enter()
        let first = try #require(bench.membership.tick(now: .at(60)).first?["id"])
        _ = try bench.say("<iq type='result' id='\(first)' from='\(Self.room)/jvb1'/>", at: 60)
        #expect(bench.membership.tick(now: .at(120)).count == 1)
        #expect(bench.membership.tick(now: .at(180)).count == 1)
        #expect(bench.membership.isJoined)
        #expect(bench.membership.tick(now: .at(240)).isEmpty)
        #expect(bench.refusal == .timeout)
    }

    @Test func selfPingsCanBeTurnedOff() throws {
        var bench = try Bench(timing: Self.timing { $0.selfPingInterval = nil })
        try bench.enter()
        for second in stride(from: 5.0, through: 600, by: 5) {
            #expect(bench.membership.tick(now: .at(second)).map(\.name) == ["presence"])
        }
    }

    static func timing(_ change: (inout BreweryMembership.Timing) -> Void) -> BreweryMembership.Timing {
        var timing = BreweryMembership.Timing()
        change(&timing)
        return timing
    }

    @Test func severalRoomsDoNotDisturbEachOther() throws {
        let other = try #require(JID("other@internal.auth.meet.lab"))
        var second = try #require(BreweryMembership(room: other, nickname: "jvb1", random: SeededGenerator(state: 1)))
        var bench = try Bench()
        _ = bench.membership.ready(now: .at(0))
        _ = second.ready(now: .at(0))
        let answer = try #require(
            XMLElement(
                parsing: "<presence from='OTHER@internal.auth.meet.lab/jvb1'><x xmlns='\(XMLNamespace.mucUser)'>"
                    + "<status code='110'/></x></presence>"))
        _ = bench.membership.receive(answer, now: .at(0))
        _ = second.receive(answer, now: .at(0))
        #expect(bench.membership.state == .joining)
        #expect(second.isJoined)
    }

    @Test func refusesANameThatCannotBeOne() throws {
        let room = try #require(JID(Self.room))
        for name in ["", "a\u{0}", String(repeating: "x", count: 1024)] {
            #expect(BreweryMembership(room: room, nickname: name, random: SeededGenerator(state: 1)) == nil)
        }
    }

    @Test func statisticsArePrintedInOrder() {
        let stats = BreweryPresence.statistics([("stress_level", "0.12"), ("drain", "false"), ("region", "a\"b")])
        #expect(
            stats.description
                == "<stats xmlns=\"http://jitsi.org/protocol/colibri\"><stat name=\"stress_level\" value=\"0.12\"/>"
                + "<stat name=\"drain\" value=\"false\"/><stat name=\"region\" value=\"a&quot;b\"/></stats>")
    }
}
