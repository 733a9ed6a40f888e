// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import RTP
import SRTP
import Testing

/// A whole call of three in virtual time: who gets what.
struct CallTests {
    /// Three clients that all send audio and three encodings of video; all channels are open, nobody has asked for video.
    struct Call {
        let bridge: VirtualBridge
        let a = VirtualClient("a", 1)
        let b = VirtualClient("b", 2)
        let c = VirtualClient("c", 3)
        var all: [VirtualClient] { [a, b, c] }

        init(_ profile: ProtectionProfile = .aeadAES128GCM, capabilities: Set<String> = [Capability.sourceNames]) throws
        {
            bridge = try VirtualBridge(profile: profile)
            for client in all { try bridge.join(client, capabilities: capabilities) }
        }

        /// Nothing that the bridge sent was refused by a client's SRTP, and nothing was dropped but for `reasons`.
        func expectClean(except reasons: Set<String> = [], sourceLocation: SourceLocation = #_sourceLocation) {
            for client in all {
                #expect(client.failures.isEmpty, "\(client.id)", sourceLocation: sourceLocation)
                #expect(client.rtcp.malformed == 0, "\(client.id)", sourceLocation: sourceLocation)
            }
            let drops = bridge.drops.filter { !reasons.contains($0.key) }
            #expect(drops.isEmpty, sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: ProtectionProfile.allCases)
    func everybodyHearsEverybodyElse(profile: ProtectionProfile) throws {
        let call = try Call(profile)
        call.bridge.run(.seconds(2))
        for listener in call.all {
            for speaker in call.all {
                let heard = listener.received(speaker.audioSSRC)
                if listener === speaker {
                    #expect(heard.isEmpty, "nobody hears himself")
                } else {
                    #expect((95...100).contains(heard.count))
                    heard.expectSeamless()
                    #expect(heard.allSatisfy { $0.audioLevel == speaker.audioLevel })
                    #expect(heard.allSatisfy { $0.payloadType == VirtualClient.opus })
                }
            }
        }
        call.expectClean()
    }

    @Test func audioTimestampsAreTheSenders() throws {
        let call = try Call()
        call.bridge.run(.seconds(1))
        let heard = call.b.received(call.a.audioSSRC)
        let last = try #require(heard.last)
        #expect(heard.count > 40)
        #expect(VirtualClient.audioTimestamp(last.at) &- last.timestamp == 20 * 48, "two network delays of 10 ms")
    }

    @Test func nobodyGetsVideoBeforeAskingForIt() throws {
        let call = try Call()
        call.bridge.run(.seconds(1))
        for client in call.all { #expect(Set(client.packets.keys).isDisjoint(with: call.all.map(\.videoSSRC))) }
        call.expectClean()
    }

    @Test func videoGoesOnlyToWhoAskedAndAsHighAsAsked() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        call.bridge.want(call.c, 720)
        call.bridge.run(.seconds(2))
        let mark = call.bridge.now
        call.bridge.run(.seconds(1))
        #expect(call.a.received(call.b.videoSSRC).isEmpty)
        #expect(call.b.received(call.a.videoSSRC).since(mark).origins == [call.a.encodings[0].ssrc])
        #expect(call.b.received(call.c.videoSSRC).since(mark).origins == [call.c.encodings[0].ssrc])
        #expect(call.c.received(call.a.videoSSRC).since(mark).origins == [call.a.encodings[2].ssrc])
        #expect(call.b.received(call.a.videoSSRC).since(mark).count >= 24)
        for receiver in [call.b, call.c] { receiver.received(call.a.videoSSRC).expectSeamless() }
        call.expectClean()
    }

    @Test func oneSourceMayBeWantedHigherThanTheRest() throws {
        let call = try Call()
        call.bridge.say(
            call.c,
            #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":0},"constraints":{"a-v0":{"maxHeight":360}}}"#
        )
        call.bridge.run(.seconds(2))
        #expect(call.c.received(call.a.videoSSRC).last?.origin?.ssrc == call.a.encodings[1].ssrc)
        #expect(call.c.received(call.b.videoSSRC).isEmpty)
    }

    @Test func receiversKnowASourceByTheFirstSSRCOfItsSIMGroup() throws {
        let call = try Call()
        call.bridge.want(call.b, 720)
        call.bridge.run(.seconds(2))
        let known = Set([call.a, call.c].flatMap { [$0.audioSSRC, $0.videoSSRC] })
        #expect(Set(call.b.packets.keys) == known)
        #expect(call.b.received(call.a.videoSSRC).origins.contains(call.a.encodings[2].ssrc))
    }

    @Test func aPayloadArrivesAsItWasSentButForItsDescriptor() throws {
        let call = try Call()
        call.bridge.want(call.b, 720)
        call.bridge.run(.seconds(2))
        let got = call.b.received(call.a.videoSSRC)
        #expect(got.count > 100)
        for packet in got {
            let sent = try #require(packet.origin.flatMap { call.a.sent[$0] })
            #expect(packet.payload.count == sent.count)
            #expect(packet.payload.dropFirst(6) == sent.dropFirst(6))
            #expect(packet.payload.prefix(2) == sent.prefix(2))
        }
    }

    @Test func oneLeavesAndTheOthersGoOn() throws {
        let call = try Call()
        for client in call.all { call.bridge.want(client, 360) }
        call.bridge.run(.seconds(2))
        call.bridge.leave(call.c)
        let mark = call.bridge.now + .milliseconds(20)
        call.bridge.run(.seconds(2))
        for (receiver, sender) in [(call.a, call.b), (call.b, call.a)] {
            #expect(receiver.received(sender.audioSSRC).since(mark).count >= 95)
            #expect(receiver.received(sender.videoSSRC).since(mark).count >= 48)
            #expect(receiver.received(call.c.audioSSRC).since(mark).isEmpty)
            receiver.received(sender.audioSSRC).expectSeamless()
            receiver.received(sender.videoSSRC).expectSeamless()
        }
        // What was on its way when the client left is from nobody any more.
        call.expectClean(except: ["unvalidatedPath"])
        #expect(call.bridge.snapshot().endpoints == 2)
    }

    @Test func transportSequenceNumbersOfVideoHaveNoHoles() throws {
        let call = try Call()
        call.bridge.want(call.b, 720)
        call.bridge.run(.seconds(2))
        let numbers = [call.a, call.c].flatMap { call.b.received($0.videoSSRC) }.compactMap(\.transportSequence)
            .sorted()
        #expect(numbers.count > 100)
        #expect(numbers == Array(1...UInt16(numbers.count)))
        #expect(
            call.b.received(call.a.audioSSRC).allSatisfy { $0.transportSequence == nil }, "audio has none, as in JVB")
    }

    // MARK: Mute and silence

    @Test func aForcedMuteStopsMediaAndUnmutingBringsItBackWithoutAGap() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        call.bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: true, video: true)))
        call.bridge.run(.milliseconds(20))
        let muted = call.bridge.now
        call.bridge.run(.seconds(5))
        #expect(call.b.received(call.a.audioSSRC).since(muted).isEmpty)
        #expect(call.b.received(call.a.videoSSRC).since(muted).isEmpty)
        #expect(call.b.received(call.c.audioSSRC).since(muted).count > 200, "others are not muted")
        call.bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: false, video: false)))
        let unmuted = call.bridge.now
        call.bridge.run(.seconds(1))
        #expect(call.b.received(call.a.audioSSRC).since(unmuted).count >= 45)
        #expect(call.b.received(call.a.videoSSRC).since(unmuted).count >= 20)
        call.b.received(call.a.audioSSRC).expectSeamless()
        call.b.received(call.a.videoSSRC).expectSeamless()
        call.expectClean(except: ["forceMuted"])
        #expect(call.bridge.drops("forceMuted") > 0)
    }

    @Test func whatAForcedMuteDropsIsNotAskedForAgain() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        call.bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: false, video: true)))
        call.bridge.run(.seconds(1))
        call.bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: false, video: false)))
        call.bridge.run(.seconds(1))
        #expect(call.a.rtcp.nacks.isEmpty, "nothing was lost")
        #expect(call.a.rtcp.blocks.allSatisfy { $0.block.cumulativeLost == 0 })
    }

    @Test func aMuteOfVideoLeavesAudioAlone() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        call.bridge.modify(EndpointModify(id: "a", forceMute: .init(audio: false, video: true)))
        call.bridge.run(.milliseconds(20))
        let muted = call.bridge.now
        call.bridge.run(.seconds(1))
        #expect(call.b.received(call.a.audioSSRC).since(muted).count >= 45)
        #expect(call.b.received(call.a.videoSSRC).since(muted).isEmpty)
    }

    @Test func longSilenceIsNotForwardedAndLeavesNoGap() throws {
        let call = try Call()
        call.bridge.run(.seconds(1))
        let before = call.b.received(call.a.audioSSRC).count
        call.a.audioLevel = 127
        call.bridge.run(.seconds(2))
        let silent = call.b.received(call.a.audioSSRC).count - before
        #expect((4...7).contains(silent), "only the first packets of a silence are passed on, not \(silent)")
        call.a.audioLevel = 20
        call.bridge.run(.seconds(1))
        let heard = call.b.received(call.a.audioSSRC)
        #expect(heard.count >= before + silent + 45)
        heard.expectSeamless()
        call.expectClean(except: ["silence"])
        #expect(call.bridge.drops("silence") > 80)
        #expect(call.a.rtcp.blocks.allSatisfy { $0.block.cumulativeLost == 0 }, "for the sender nothing was lost")
    }

    @Test func anAudioSubscriptionIsObeyed() throws {
        let call = try Call()
        call.bridge.run(.milliseconds(500))
        call.bridge.say(call.b, #"{"colibriClass":"ReceiverAudioSubscription","all":true,"exclude":["a-a0"]}"#)
        call.bridge.run(.milliseconds(20))
        let mark = call.bridge.now
        call.bridge.run(.seconds(1))
        #expect(call.b.received(call.a.audioSSRC).since(mark).isEmpty)
        #expect(call.b.received(call.c.audioSSRC).since(mark).count >= 45)
        call.bridge.say(call.b, #"{"colibriClass":"ReceiverAudioSubscription","include":["a-a0"]}"#)
        call.bridge.run(.seconds(1))
        call.b.received(call.a.audioSSRC).expectSeamless()
        #expect(call.b.received(call.a.audioSSRC).since(mark).count >= 45)
        call.expectClean()
    }
}
