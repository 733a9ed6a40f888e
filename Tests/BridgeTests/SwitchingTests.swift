// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import RTP
import Testing

/// Simulcast as the receiver sees it: one encoder that changes its size.
struct SwitchingTests {
    /// One sender, one receiver.
    struct Pair {
        let bridge: VirtualBridge
        let sender: VirtualClient
        let receiver = VirtualClient("r", 2, encodings: 0)

        init(encodings: Int = 3, sendsReports: Bool = true) throws {
            bridge = try VirtualBridge()
            sender = VirtualClient("s", 1, encodings: encodings)
            sender.sendsReports = sendsReports
            try bridge.join(sender)
            try bridge.join(receiver)
        }

        var video: [ReceivedPacket] { receiver.received(sender.videoSSRC) }

        /// Encodings in the order in which they were got, each stretch once.
        var stretches: [Int] {
            var list: [Int] = []
            for packet in video {
                guard let place = sender.encodings.firstIndex(where: { $0.ssrc == packet.origin?.ssrc }) else {
                    continue
                }
                if list.last != place { list.append(place) }
            }
            return list
        }
    }

    @Test(arguments: [true, false])
    func switchingUpAndDownLeavesNoSeam(sendsReports: Bool) throws {
        let pair = try Pair(sendsReports: sendsReports)
        for height in [180, 720, 180, 360, 720, 360, 180] {
            pair.bridge.want(pair.receiver, height)
            pair.bridge.run(.seconds(2))
        }
        #expect(pair.stretches == [0, 2, 0, 1, 2, 1, 0])
        #expect(pair.video.count > 500)
        pair.video.expectSeamless()
        #expect(pair.receiver.failures.isEmpty)
        #expect(pair.bridge.drops.isEmpty)
    }

    @Test func everyStretchStartsWithAKeyframe() throws {
        let pair = try Pair()
        for height in [180, 720, 180, 360] {
            pair.bridge.want(pair.receiver, height)
            pair.bridge.run(.seconds(2))
        }
        var last: UInt32?
        for packet in pair.video {
            if packet.origin?.ssrc != last {
                #expect(packet.descriptor?.isKeyframe == true && packet.descriptor?.isStartOfFrame == true)
            }
            last = packet.origin?.ssrc
        }
    }

    @Test func theOldEncodingGoesOnUntilTheNewOneHasAKeyframe() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 180)
        pair.bridge.run(.seconds(2))
        pair.sender.answersKeyframeRequests = false
        pair.bridge.want(pair.receiver, 720)
        pair.bridge.run(.seconds(3))
        #expect(pair.stretches == [0])
        #expect(pair.video.count > 100, "nothing freezes")
        pair.sender.encodings[2].needsKeyframe = true
        pair.bridge.run(.seconds(1))
        #expect(pair.stretches == [0, 2])
        pair.video.expectSeamless()
    }

    @Test func anEncodingThatIsSwitchedOffIsReplacedByOneThatFlows() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 720)
        pair.bridge.run(.seconds(2))
        pair.sender.encodings[2].isOn = false
        pair.bridge.run(.seconds(4))
        #expect(pair.stretches.suffix(2) == [2, 1])
        #expect(pair.video.since(pair.bridge.now - .seconds(1)).count > 20)
        pair.sender.encodings[2].isOn = true
        pair.bridge.run(.seconds(2))
        #expect(pair.stretches.last == 2)
        pair.video.expectSeamless()
    }

    @Test func thePictureSizeOfAKeyframeCountsNotTheNominalOne() throws {
        let pair = try Pair()
        for (i, height) in [270, 540, 1080].enumerated() { pair.sender.encodings[i].height = height }
        pair.bridge.want(pair.receiver, 720)
        pair.bridge.run(.seconds(3))
        #expect(pair.stretches.last == 1, "1080 lines are more than 720")
        for (i, height) in [90, 180, 360].enumerated() {
            pair.sender.encodings[i].height = height
            pair.sender.encodings[i].needsKeyframe = true
        }
        pair.bridge.want(pair.receiver, 360)
        pair.bridge.run(.seconds(3))
        #expect(pair.stretches.last == 2)
    }

    @Test func aSenderThatChangesItsSizeIsJudgedAnew() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 360)
        pair.bridge.run(.seconds(2))
        #expect(pair.stretches.last == 1)
        for (i, height) in [360, 720, 1440].enumerated() {
            pair.sender.encodings[i].height = height
            pair.sender.encodings[i].needsKeyframe = true
        }
        pair.bridge.run(.seconds(2))
        #expect(pair.stretches.last == 0, "nobody asked again")
    }

    @Test func aPauseEndsWithAKeyframeAndWithoutAGap() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 180)
        pair.bridge.run(.seconds(1))
        pair.bridge.want(pair.receiver, 0)
        pair.bridge.run(.milliseconds(20))
        let paused = pair.bridge.now
        pair.bridge.run(.seconds(10))
        #expect(pair.video.since(paused).isEmpty)
        pair.bridge.want(pair.receiver, 180)
        pair.bridge.run(.seconds(1))
        let after = pair.video.since(paused)
        #expect(after.count >= 20)
        #expect(after.first?.descriptor?.isKeyframe == true)
        pair.video.expectSeamless()
    }

    @Test func aSingleEncodingIsSentWhateverHeightIsWanted() throws {
        let pair = try Pair(encodings: 1)
        pair.bridge.want(pair.receiver, 90)
        pair.bridge.run(.seconds(1))
        #expect(pair.video.count > 20)
    }

    // MARK: Keyframe requests

    @Test func manyReceiversThatWaitCauseFewRequests() throws {
        let bridge = try VirtualBridge()
        let sender = VirtualClient("s", 1)
        sender.answersKeyframeRequests = false
        try bridge.join(sender)
        bridge.run(.milliseconds(500))
        let receivers = (2..<12).map { VirtualClient("r\($0)", $0, encodings: 0) }
        for receiver in receivers {
            try bridge.join(receiver)
            bridge.want(receiver, 180)
        }
        let mark = bridge.now
        bridge.run(.seconds(3))
        let requests = sender.rtcp.keyframeRequests.filter { $0.at >= mark && $0.media == sender.encodings[0].ssrc }
        #expect((9...11).contains(requests.count), "\(requests.count) requests in 3 s, one per 300 ms")
        for receiver in receivers { #expect(receiver.received(sender.videoSSRC).isEmpty) }
    }

    @Test func aReceiversRequestReachesTheSenderOfTheEncodingItGets() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 720)
        pair.bridge.run(.seconds(2))
        let mark = pair.bridge.now
        pair.receiver.requestKeyframe(pair.sender.videoSSRC)
        pair.bridge.run(.milliseconds(500))
        let requests = pair.sender.rtcp.keyframeRequests.filter { $0.at >= mark }
        #expect(requests.map(\.media) == [pair.sender.encodings[2].ssrc])
        #expect(pair.video.since(mark).contains { $0.descriptor?.isKeyframe == true })
    }

    @Test func aRequestForASourceThatIsNotThereGoesNowhere() throws {
        let pair = try Pair()
        pair.bridge.run(.seconds(1))
        let mark = pair.bridge.now
        for ssrc: UInt32 in [0, 1, pair.sender.audioSSRC, pair.sender.encodings[1].ssrc, .max] {
            pair.receiver.requestKeyframe(ssrc)
        }
        pair.bridge.run(.milliseconds(500))
        #expect(pair.sender.rtcp.keyframeRequests.allSatisfy { $0.at < mark })
    }
}
