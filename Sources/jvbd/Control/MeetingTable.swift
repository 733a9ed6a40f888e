// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which shard is home to which meeting, and the requests that wait because that shard's mailbox is full: the rules,
/// without threads.

import Bridge

struct MeetingTable {
    /// Parked requests per meeting; the next one is refused.
    static let parkingLimit = 256

    private struct Meeting {
        let shard: Int
        /// Requests that are not answered yet, the parked ones included.
        var unanswered = 0
        var parked: [(id: RequestID, command: ShardCommand)] = []
        /// Number of the snapshot round in which the last answer came; a later round may find the meeting gone.
        var answeredIn = 0
    }

    private var meetings: [String: Meeting] = [:]
    private var waiting: Set<String> = []
    private var homed: [Int]
    private var endpoints: [Int]
    private var round = 0

    init(shards: Int) {
        homed = Array(repeating: 0, count: shards)
        endpoints = homed
    }

    var count: Int { meetings.count }
    var parkedCount: Int { waiting.reduce(0) { $0 + (meetings[$1]?.parked.count ?? 0) } }
    var hasParked: Bool { !waiting.isEmpty }

    /// The home of a meeting: where it is, or the shard with the least to do for one that is not known.
    func home(of meetingID: String) -> Int {
        if let shard = meetings[meetingID]?.shard { return shard }
        return homed.indices.min { homed[$0] + endpoints[$0] < homed[$1] + endpoints[$1] } ?? 0
    }

    /// Takes a request: posts it, or parks it behind those that wait already, so that a meeting's order is kept.
    /// - Returns: false when too many wait.
    mutating func take(
        _ command: ShardCommand, id: RequestID, meetingID: String, post: (Int, ShardCommand) -> Bool
    ) -> Bool {
        let shard = home(of: meetingID)
        var meeting = meetings[meetingID] ?? Meeting(shard: shard)
        guard meeting.parked.count < MeetingTable.parkingLimit else { return false }
        if !meeting.parked.isEmpty || !post(shard, command) {
            meeting.parked.append((id, command))
            waiting.insert(meetingID)
        }
        if meetings[meetingID] == nil { homed[shard] += 1 }
        meeting.unanswered += 1
        meetings[meetingID] = meeting
        return true
    }

    /// Posts what was parked, as far as there is room, each meeting in its order.
    mutating func flush(post: (Int, ShardCommand) -> Bool) {
        for meetingID in waiting {
            guard var meeting = meetings[meetingID] else { continue }
            var posted = 0
            while posted < meeting.parked.count, post(meeting.shard, meeting.parked[posted].command) { posted += 1 }
            meeting.parked.removeFirst(posted)
            if meeting.parked.isEmpty { waiting.remove(meetingID) }
            meetings[meetingID] = meeting
        }
    }

    /// A request got its answer, from the shard or by running out of time; if it is still parked it is not performed.
    /// - Parameter gone: the answer says that the meeting does not exist any more.
    mutating func answered(_ id: RequestID, meetingID: String, gone: Bool) {
        guard var meeting = meetings[meetingID] else { return }
        meeting.parked.removeAll { $0.id == id }
        if meeting.parked.isEmpty { waiting.remove(meetingID) }
        meeting.unanswered -= 1
        meeting.answeredIn = round
        if gone, meeting.unanswered <= 0 {
            forget(meetingID, meeting)
        } else {
            meetings[meetingID] = meeting
        }
    }

    /// Shards are about to be asked what they have. Only meetings that were quiet since then may be forgotten by the
    /// answer.
    mutating func beginRound() { round += 1 }

    /// What a shard has. Meetings that ended on their own are forgotten here.
    mutating func note(_ snapshot: ShardSnapshot, of shard: Int) {
        guard endpoints.indices.contains(shard) else { return }
        endpoints[shard] = snapshot.endpoints
        let alive = Set(snapshot.meetings.lazy.map(\.meetingID))
        for (meetingID, meeting) in meetings
        where meeting.shard == shard && meeting.unanswered <= 0 && meeting.answeredIn < round
            && !alive.contains(meetingID)
        {
            forget(meetingID, meeting)
        }
    }

    private mutating func forget(_ meetingID: String, _ meeting: Meeting) {
        meetings[meetingID] = nil
        waiting.remove(meetingID)
        homed[meeting.shard] -= 1
    }
}
