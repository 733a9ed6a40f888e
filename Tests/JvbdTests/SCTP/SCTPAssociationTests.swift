// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import DTLS
import Testing

@testable import jvbd

/// usrsctp is one machine per process: the tests that use it take turns.
@Suite(.serialized) enum SCTPTests {}

extension SCTPTests {
    /// One association of the bridge against a client whose every message the test chooses. Time is the test's own.
    @Suite struct AssociationTests {
        @Test func onlyTheFirstChannelIsAccepted() throws {
            let talk = try Conversation()
            talk.open(stream: 1)
            #expect(talk.events == ["opened"])
            #expect(talk.answers == [.init(stream: 1, payload: 50, bytes: [2])])
            talk.open(stream: 3)
            #expect(talk.events == ["opened"])
            #expect(talk.answers.count == 1)
            #expect(talk.association.rejectedChannels == 1)
        }

        @Test func onlyTextOnTheChannelIsPassedOn() throws {
            let talk = try Conversation()
            talk.open(stream: 1)
            talk.say("one", payload: 51, stream: 1)
            talk.say("binary", payload: 53, stream: 1)
            talk.say("elsewhere", payload: 51, stream: 2)
            talk.say("unknown", payload: 99, stream: 1)
            talk.say("two", payload: 51, stream: 1)
            #expect(talk.events == ["opened", "one", "two"])
            #expect(talk.association.rejectedMessages == 2)
        }

        @Test func textBeforeTheChannelIsRejected() throws {
            let talk = try Conversation()
            talk.say("early", payload: 51, stream: 1)
            #expect(talk.events.isEmpty)
            #expect(talk.association.rejectedMessages == 1)
            #expect(!talk.association.send([1]))
        }

        @Test func textGoesToTheStreamThatThePeerChose() throws {
            let talk = try Conversation()
            talk.open(stream: 7)
            #expect(talk.association.send(Array("hello".utf8)))
            talk.settle()
            #expect(talk.answers.last == .init(stream: 7, payload: 51, bytes: Array("hello".utf8)))
        }

        @Test func aResetStreamClosesTheChannelAndANewOneMayOpen() throws {
            let talk = try Conversation()
            talk.open(stream: 1)
            talk.client?.reset(stream: 1)
            talk.settle()
            #expect(talk.events == ["opened", "closed"])
            #expect(!talk.association.isOpen)
            #expect(!talk.association.send([1]))
            talk.open(stream: 2)
            #expect(talk.events == ["opened", "closed", "opened"])
            #expect(talk.association.send([1]))
        }

        @Test func theEndOfTheAssociationClosesTheChannelAndTheNextIsAccepted() throws {
            let talk = try Conversation()
            talk.open(stream: 1)
            talk.associateAnew()
            talk.open(stream: 0)
            talk.say("again", payload: 51, stream: 0)
            #expect(talk.events == ["opened", "closed", "opened", "again"])
        }

        @Test func aLostHandshakeIsRepeatedWhenItsTimeHasCome() throws {
            let talk = try Conversation(losing: 3)
            talk.settle(milliseconds: 10_000)
            talk.open(stream: 1)
            talk.settle(milliseconds: 5000)
            #expect(talk.events == ["opened"])
        }
    }
}

/// The bridge's association and a client's socket on one usrsctp, whose packets are carried by hand.
private final class Conversation {
    struct Message: Hashable {
        var stream: UInt16
        var payload: UInt32
        var bytes: [UInt8]
    }

    struct MachineIsTaken: Error {}

    let association: SCTPAssociation
    private(set) var client: SCTPSocket?
    /// What came of the bridge side: texts, "opened" and "closed".
    private(set) var events: [String] = []
    /// What the client got.
    private(set) var answers: [Message] = []
    private var packetsToLose: Int

    private static let bridgeAddress: UInt64 = 1
    private static let clientAddress: UInt64 = 2
    private static let bridgeSerial: UInt64 = 1000
    private var clientSerial: UInt64 = 2000
    private var nextSerial: UInt64 = 1001

    init(losing packetsToLose: Int = 0) throws {
        guard SCTPMachine.claim() else { throw MachineIsTaken() }
        _ = SCTPMachine.takeNotes()
        SCTPMachine.register(address: Self.bridgeAddress)
        SCTPMachine.register(address: Self.clientAddress)
        association = try #require(
            SCTPAssociation(role: .passive, address: Self.bridgeAddress, serial: Self.bridgeSerial))
        client = SCTPSocket.connecting(address: Self.clientAddress, serial: clientSerial)
        self.packetsToLose = packetsToLose
        settle()
    }

    deinit { SCTPMachine.release() }

    func open(stream: UInt16) {
        let open = DataChannelMessage.open(DataChannelOpen(label: "JVB data channel", subprotocol: "x"))
        _ = client?.send(open.encoded(), payload: 50, stream: stream)
        settle()
    }

    func say(_ text: String, payload: UInt32, stream: UInt16) {
        _ = client?.send(Array(text.utf8), payload: payload, stream: stream)
        settle()
    }

    /// The client's association ends and another begins.
    func associateAnew() {
        clientSerial += 1
        client = nil
        client = SCTPSocket.connecting(address: Self.clientAddress, serial: clientSerial)
        settle(milliseconds: 2000)
    }

    /// Carries packets to and fro while time goes by.
    func settle(milliseconds: UInt32 = 500) {
        carry()
        for _ in 0..<milliseconds / 10 {
            SCTPMachine.advance(milliseconds: 10)
            carry()
        }
    }

    private func carry() {
        while true {
            let notes = SCTPMachine.takeNotes()
            if notes.isEmpty { return }
            for note in notes { handle(note) }
        }
    }

    private func handle(_ note: SCTPNote) {
        switch note {
        case .packet(let address, let bytes):
            if packetsToLose > 0 {
                packetsToLose -= 1
            } else if address == Self.clientAddress {
                association.receive(bytes)
            } else {
                SCTPMachine.receive(bytes, address: Self.clientAddress)
            }
        case .message(let serial, let stream, let payload, let bytes, let isLast):
            if serial == association.serial {
                tell(association.receive(bytes, isLast: isLast, payload: payload, stream: stream))
            } else if serial == clientSerial {
                answers.append(Message(stream: stream, payload: payload, bytes: bytes))
            }
        case .up: break
        case .restarted(association.serial): tell(association.restarted())
        case .down(association.serial):
            nextSerial += 1
            tell(association.wentDown(newSerial: nextSerial))
        case .streamsReset(association.serial, let streams): tell(association.streamsReset(streams))
        case .restarted, .down, .streamsReset: break
        }
    }

    private func tell(_ event: SCTPAssociation.Event?) {
        switch event {
        case .opened: events.append("opened")
        case .closed: events.append("closed")
        case .message(let text): events.append(String(decoding: text, as: UTF8.self))
        case nil: break
        }
    }
}
