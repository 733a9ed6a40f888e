// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// Being an occupant of one brewery room (XEP-0045), for as long as the process wants to be: whatever throws the bridge
/// out - conflict, kick, ban, destroyed room, restarted component, lost stream - it enters again.
///
/// Events go in, stanzas to send come out. While there is no stream nothing comes out.
public struct BreweryMembership {
    public enum State: Hashable, Sendable {
        /// No stream, or left on purpose.
        case outside
        /// The presence is sent, the room has not answered.
        case joining
        /// The room has reflected our presence.
        case joined
        /// The next attempt is at that time.
        case waiting(until: Instant, BreweryRefusal)
    }

    /// What can be set; the defaults are those of JVB, where it has any.
    public struct Timing: Hashable, Sendable {
        /// From one presence with statistics to the next.
        public var presenceInterval: Interval = .seconds(5)
        /// How long the room may take to answer the first presence.
        public var joinTimeout: Interval = .seconds(30)
        /// From one question "am I still in?" (XEP-0410) to the next; nil for never.
        public var selfPingInterval: Interval? = .seconds(60)
        /// Having been in for so long makes the next pause a short one again.
        public var stableAfter: Interval = .seconds(60)

        public init() {}
    }

    /// Bare address of the room.
    public let room: JID
    public private(set) var state = State.outside
    /// The occupant address that the room gave us; the wanted one before that.
    public private(set) var occupant: JID
    /// Times that the room was entered.
    public private(set) var joins = 0
    /// The `stats` element of the next presence, see `BreweryPresence`.
    public var statistics: XMLElement?

    private let wanted: JID
    private let timing: Timing
    private var backOff: BreweryBackOff
    private var hasStream = false
    private var isWanted = true
    private var joinedAt: Instant?
    private var joinDeadline: Instant?
    private var nextPresence: Instant?
    private var nextSelfPing: Instant?
    private var selfPing: String?
    private var unansweredSelfPings = 0
    private var lastIdentifier = 0
    private var joinIdentifier: String?

    /// - Parameters:
    ///   - room: any resource of it is ignored.
    ///   - nickname: unique among the bridges of the server; Jicofo knows the bridge by it.
    ///   - random: for the length of pauses.
    /// - Returns: nil if the nickname cannot be one.
    public init?(
        room: JID, nickname: String, timing: Timing = Timing(), statistics: XMLElement? = nil,
        random: any RandomNumberGenerator
    ) {
        guard let occupant = room.with(resource: nickname) else { return nil }
        self.room = room.bare
        self.occupant = occupant
        wanted = occupant
        self.timing = timing
        self.statistics = statistics
        backOff = BreweryBackOff(random: random)
    }

    public var isJoined: Bool { state == .joined }

    /// When `tick` must be called next.
    public var deadline: Instant? {
        switch state {
        case .outside: nil
        case .joining: joinDeadline
        case .joined: [nextPresence, nextSelfPing].compactMap(\.self).min()
        case .waiting(let until, _): until
        }
    }

    /// A stream is logged in: a new one, on which nothing is left of an earlier membership.
    public mutating func ready(now: Instant) -> [XMLElement] {
        hasStream = true
        return isWanted ? [join(now)] : []
    }

    /// The stream is gone.
    public mutating func disconnected() {
        hasStream = false
        becomeOutside()
    }

    /// Leaves on purpose, and stays out.
    public mutating func leave() -> [XMLElement] {
        isWanted = false
        let isKnown = state == .joined || state == .joining
        becomeOutside()
        return isKnown ? [BreweryPresence.leave(occupant)] : []
    }

    /// Wants to be in again after `leave`.
    public mutating func enter(now: Instant) -> [XMLElement] {
        guard !isWanted else { return [] }
        isWanted = true
        return hasStream ? [join(now)] : []
    }

    /// Sends the statistics now, not at the end of the interval. For a change that Jicofo should know at once.
    public mutating func publish(now: Instant) -> [XMLElement] {
        guard state == .joined else { return [] }
        nextPresence = now + timing.presenceInterval
        return [BreweryPresence.update(occupant, statistics: statistics)]
    }

    /// Time has passed.
    public mutating func tick(now: Instant) -> [XMLElement] {
        switch state {
        case .outside:
            return []
        case .joining:
            if let joinDeadline, now >= joinDeadline { refused(.timeout, now) }
            return []
        case .waiting(let until, _):
            return now >= until ? [join(now)] : []
        case .joined:
            if let joinedAt, now - joinedAt >= timing.stableAfter { backOff.reset() }
            var stanzas: [XMLElement] = []
            if let nextSelfPing, now >= nextSelfPing {
                if selfPing != nil { unansweredSelfPings += 1 }
                // One answer may be lost on the way through another server; two are not.
                guard unansweredSelfPings < 2 else {
                    refused(.timeout, now)
                    return []
                }
                stanzas.append(ask(now))
            }
            if let nextPresence, now >= nextPresence { stanzas += publish(now: now) }
            return stanzas
        }
    }

    /// Any stanza of the stream; those that are not from the room mean nothing here.
    public mutating func receive(_ stanza: XMLElement, now: Instant) -> [XMLElement] {
        guard hasStream, state != .outside, stanza.namespace == XMLNamespace.client,
            let from = stanza["from"].flatMap({ JID($0) }), from.bare == room
        else { return [] }
        switch stanza.name {
        case "presence": return presence(stanza, from: from, now)
        case "iq": return answer(stanza, now)
        default: return []
        }
    }
}

// MARK: - What the room says

extension BreweryMembership {
    private mutating func presence(_ stanza: XMLElement, from: JID, _ now: Instant) -> [XMLElement] {
        let user = stanza.first("x", XMLNamespace.mucUser)
        let codes = Set(user?.all("status", XMLNamespace.mucUser).compactMap { $0["code"] } ?? [])
        switch stanza["type"] {
        case nil:
            // 110: this is you.
            guard codes.contains("110"), !isWaiting else { return [] }
            occupant = from
            guard state != .joined else { return [] }
            return entered(isNew: codes.contains("201"), now)
        case "unavailable":
            guard !isWaiting, codes.contains("110") || from == occupant else { return [] }
            let item = user?.first("item", XMLNamespace.mucUser)
            if codes.contains("303"), let renamed = item?["nick"].flatMap({ room.with(resource: $0) }) {
                // Still in, under the name that the presence to come will have.
                occupant = renamed
                return []
            }
            // An answer to the leaving of an earlier stay can cross the new join; only a reason ends that one.
            guard
                state == .joined || !codes.isDisjoint(with: BreweryRefusal.removalCodes)
                    || user?.first("destroy", XMLNamespace.mucUser) != nil
            else { return [] }
            refused(BreweryRefusal(removalCodes: codes, user: user), now)
            return []
        case "error":
            // The room cannot bounce what we did not send, so any error is about us; but one join that was given up
            // must not end the next one.
            guard !isWaiting, state == .joined || stanza["id"] == nil || stanza["id"] == joinIdentifier else {
                return []
            }
            refused(.error(XMPPError.stanzaCondition(of: stanza)), now)
            return []
        default:
            return []
        }
    }

    private mutating func entered(isNew: Bool, _ now: Instant) -> [XMLElement] {
        state = .joined
        joins += 1
        joinedAt = now
        joinDeadline = nil
        nextPresence = now + timing.presenceInterval
        nextSelfPing = timing.selfPingInterval.map { now + $0 }
        return isNew ? [configureRoom()] : []
    }

    private mutating func answer(_ stanza: XMLElement, _ now: Instant) -> [XMLElement] {
        let type = stanza["type"]
        guard let id = selfPing, stanza["id"] == id, type == "result" || type == "error" else { return [] }
        selfPing = nil
        unansweredSelfPings = 0
        guard state == .joined, type == "error" else { return [] }
        switch XMPPError.stanzaCondition(of: stanza) {
        case .serviceUnavailable, .featureNotImplemented, .itemNotFound, .remoteServerNotFound, .remoteServerTimeout:
            // XEP-0410 section 3.2: in, but the answer got lost in one way or another.
            return []
        case let condition:
            refused(.error(condition), now)
            return []
        }
    }

    private var isWaiting: Bool {
        if case .waiting = state { true } else { false }
    }

    private mutating func refused(_ reason: BreweryRefusal, _ now: Instant) {
        if let joinedAt, now - joinedAt >= timing.stableAfter { backOff.reset() }
        becomeOutside()
        state = .waiting(until: now + backOff.next(), reason)
    }

    private mutating func becomeOutside() {
        state = .outside
        joinedAt = nil
        joinDeadline = nil
        nextPresence = nil
        nextSelfPing = nil
        selfPing = nil
        unansweredSelfPings = 0
    }

    // MARK: What we say

    private mutating func join(_ now: Instant) -> XMLElement {
        becomeOutside()
        state = .joining
        // Always the configured name: it is what operators and Jicofo know the bridge by.
        occupant = wanted
        joinDeadline = now + timing.joinTimeout
        let id = nextIdentifier()
        joinIdentifier = id
        return BreweryPresence.join(wanted, id: id, statistics: statistics)
    }

    private mutating func ask(_ now: Instant) -> XMLElement {
        let id = nextIdentifier()
        selfPing = id
        nextSelfPing = timing.selfPingInterval.map { now + $0 }
        return XMLElement(
            "iq", namespace: XMLNamespace.client, ["type": "get", "id": id, "to": occupant.description],
            children: [XMLElement("ping", namespace: XMLNamespace.ping)])
    }

    /// XEP-0045 section 10.1: a new room is locked until its owner has submitted a configuration. Jicofo needs to see
    /// real addresses; everything else stays as the server has it.
    private mutating func configureRoom() -> XMLElement {
        func field(_ name: String, _ value: String) -> XMLElement {
            let value = XMLElement("value", namespace: XMLNamespace.dataForm, text: value)
            return XMLElement("field", namespace: XMLNamespace.dataForm, ["var": name], children: [value])
        }
        let form = XMLElement(
            "x", namespace: XMLNamespace.dataForm, ["type": "submit"],
            children: [
                field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
                field("muc#roomconfig_whois", "anyone"),
            ])
        return XMLElement(
            "iq", namespace: XMLNamespace.client,
            ["type": "set", "id": nextIdentifier(), "to": room.description],
            children: [XMLElement("query", namespace: XMLNamespace.mucOwner, children: [form])])
    }

    private mutating func nextIdentifier() -> String {
        lastIdentifier &+= 1
        return "brewery-\(lastIdentifier)"
    }
}
