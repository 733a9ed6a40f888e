// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import Testing

@testable import jvbd

/// The door to a shard: order, bound, wake-up and closing, alone and with many posters at once.
@Suite struct MailboxTests {
    @Test func elementsComeOutInTheOrderInWhichTheyWerePosted() throws {
        let mailbox = Mailbox<Int>(capacity: 10, doorbell: try Doorbell())
        for i in 0..<5 { #expect(mailbox.post(i)) }
        var taken: [Int] = []
        #expect(mailbox.take(into: &taken))
        #expect(taken == [0, 1, 2, 3, 4])
        #expect(mailbox.count == 0)
    }

    @Test func aFullMailboxRefusesUntilItIsEmptied() throws {
        let mailbox = Mailbox<Int>(capacity: 2, doorbell: try Doorbell())
        #expect(mailbox.post(1))
        #expect(mailbox.post(2))
        #expect(!mailbox.post(3))
        var taken: [Int] = []
        _ = mailbox.take(into: &taken)
        #expect(taken == [1, 2])
        #expect(mailbox.post(4))
    }

    @Test func reservedPlacesAreOnlyForThoseWhoMayUseThem() throws {
        let mailbox = Mailbox<Int>(capacity: 3, doorbell: try Doorbell())
        #expect(mailbox.post(1, leaving: 2))
        #expect(!mailbox.post(2, leaving: 2))
        #expect(mailbox.post(3))
        #expect(mailbox.post(4))
        #expect(!mailbox.post(5))
    }

    @Test func aClosedMailboxRefusesButGivesOutWhatWaits() throws {
        let mailbox = Mailbox<Int>(capacity: 3, doorbell: try Doorbell())
        #expect(mailbox.post(1))
        mailbox.close()
        #expect(!mailbox.post(2))
        var taken: [Int] = []
        #expect(!mailbox.take(into: &taken))
        #expect(taken == [1])
    }

    @Test func aRingWakesTheOwnerAndAnAnswerEndsIt() throws {
        let doorbell = try Doorbell()
        #expect(!isReadable(doorbell))
        doorbell.ring()
        doorbell.ring()
        #expect(isReadable(doorbell))
        doorbell.answer()
        #expect(!isReadable(doorbell))
        doorbell.ring()
        #expect(isReadable(doorbell))
    }

    @Test func manyPostersLoseNothingAndKeepTheirOrder() throws {
        let posters = 8
        let each = 5000
        let doorbell = try Doorbell()
        let mailbox = Mailbox<(poster: Int, number: Int)>(capacity: 256, doorbell: doorbell)
        var threads: [NativeThread] = []
        for poster in 0..<posters {
            threads.append(
                try NativeThread(name: "poster") {
                    var number = 0
                    while number < each {
                        if mailbox.post((poster, number)) { number += 1 }
                    }
                })
        }
        var next = [Int](repeating: 0, count: posters)
        var received = 0
        var taken: [(poster: Int, number: Int)] = []
        while received < posters * each {
            var descriptor = doorbell.descriptor
            // If a wake-up were lost, nobody would ring again once all mailboxes are full: a wait of 5 s would show it.
            let isWoken = unsafe clinux_wait_readable(&descriptor, 1, 5_000_000_000) != 0
            try #require(isWoken, "a wake-up was lost after \(received) elements")
            doorbell.answer()
            _ = mailbox.take(into: &taken)
            for element in taken {
                #expect(element.number == next[element.poster])
                next[element.poster] = element.number + 1
            }
            received += taken.count
            taken.removeAll(keepingCapacity: true)
        }
        for thread in threads { thread.join() }
        #expect(next == [Int](repeating: each, count: posters))
    }

    private func isReadable(_ doorbell: Doorbell) -> Bool {
        var descriptor = doorbell.descriptor
        return unsafe clinux_wait_readable(&descriptor, 1, 0) != 0
    }
}
