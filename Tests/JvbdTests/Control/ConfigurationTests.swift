// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import ICE
import Logging
import Testing

@testable import jvbd

@Suite struct ConfigurationTests {
    private let password = ["JVB_AUTH_PASSWORD": "secret"]

    private func configuration(_ variables: [String: String]) -> Configuration {
        Configuration(environment: password.merging(variables) { $1 })
    }

    @Test func defaultsAreThoseOfTheContainer() throws {
        let configuration = configuration(["HOSTNAME": "0123456789ab"])
        #expect(configuration.problems.isEmpty)
        let xmpp = try #require(configuration.xmpp)
        #expect(xmpp.servers == [HostPort(host: "xmpp.meet.jitsi", port: 5222)])
        #expect(xmpp.domain == "auth.meet.jitsi")
        #expect(xmpp.brewery == "jvbbrewery@internal-muc.meet.jitsi")
        #expect(xmpp.user == "jvb")
        #expect(xmpp.nickname == "0123456789ab")
        #expect(!xmpp.verifiesCertificate)
        #expect(configuration.mediaPort == 10000)
        #expect(configuration.stunServers == [HostPort(host: "meet-jit-si-turnrelay.jitsi.net", port: 443)])
        #expect(configuration.privateHTTP == HostPort(host: "127.0.0.1", port: 8080))
        #expect(configuration.webSocket == nil)
        #expect(configuration.sctpEnabled)
        #expect(!configuration.restEnabled)
        #expect(configuration.advertisesPrivateCandidates)
    }

    @Test func missingPasswordIsAProblemThatNamesBothWaysOut() throws {
        let problem = try #require(Configuration(environment: [:]).problems.first)
        #expect(problem.variable == "JVB_AUTH_PASSWORD")
        #expect(problem.description.contains("JVB_DISABLE_XMPP=1"))
        #expect(!problem.description.contains("\n"))
    }

    @Test func withoutXMPPNoPasswordIsNeededAndRESTIsOn() {
        let configuration = Configuration(environment: ["JVB_DISABLE_XMPP": "true"])
        #expect(configuration.problems.isEmpty)
        #expect(configuration.xmpp == nil)
        #expect(configuration.restEnabled)
    }

    @Test func demoNeedsNothing() {
        let configuration = Configuration(environment: [:], purpose: .demo)
        #expect(configuration.problems.isEmpty)
        #expect(configuration.xmpp == nil)
        #expect(configuration.stunServers.isEmpty)
        #expect(configuration.restEnabled)
    }

    @Test func emptyVariablesOfComposeFilesAreUnset() {
        let configuration = configuration(["JVB_PORT": "", "XMPP_SERVER": " ", "JVB_DISABLE_STUN": ""])
        #expect(configuration.problems.isEmpty)
        #expect(configuration.mediaPort == 10000)
        #expect(configuration.settings.first { $0.name == "JVB_PORT" }?.origin == .builtIn)
    }

    @Test(arguments: [
        ("JVB_PORT", "0"), ("JVB_PORT", "65536"), ("JVB_PORT", "10000x"), ("JVB_DISABLE_STUN", "maybe"),
        ("JVB_ADVERTISE_IPS", "203.0.113.9,example.com"), ("JVB_ADVERTISE_IPS", "203.0.113.9#0"),
        ("JVB_STUN_SERVERS", "stun.example.com:x"), ("XMPP_SERVER", "host:0"), ("XMPP_SERVER", "a b"),
        ("JVB_COLIBRI_HOST", "localhost"), ("JVB_MEDIA_THREADS", "-1"), ("JVB_LOG_LEVEL", "loud"),
        ("JVB_BIND_ADDRESS", "eth0"), ("PUBLIC_URL", "https://"), ("JVB_WS_SERVER_ID", "a/b"),
    ])
    func aBadValueIsOneLineThatNamesTheVariable(name: String, value: String) {
        let problems = configuration([name: value]).problems
        #expect(problems.map(\.variable) == [name])
        #expect(problems.allSatisfy { !$0.description.contains("\n") && $0.description.hasPrefix("\(name): ") })
    }

    @Test func everyProblemIsTold() {
        let problems = Configuration(environment: ["JVB_PORT": "x", "JVB_LOG_LEVEL": "y"]).problems
        #expect(Set(problems.map(\.variable)) == ["JVB_PORT", "JVB_LOG_LEVEL", "JVB_AUTH_PASSWORD"])
    }

    @Test func serversAreAListWithPorts() {
        let configuration = configuration([
            "XMPP_SERVER": "a.example, b.example:5269,[::1]:6222,::1", "XMPP_PORT": "5223",
        ])
        #expect(
            configuration.xmpp?.servers == [
                HostPort(host: "a.example", port: 5223), HostPort(host: "b.example", port: 5269),
                HostPort(host: "::1", port: 6222), HostPort(host: "::1", port: 5223),
            ])
    }

    @Test func theSeparateServerForBridgesHasItsOwnVariables() throws {
        let configuration = configuration([
            "ENABLE_JVB_XMPP_SERVER": "1", "JVB_XMPP_AUTH_DOMAIN": "auth.bridges", "XMPP_SERVER": "unused",
        ])
        let xmpp = try #require(configuration.xmpp)
        #expect(xmpp.servers == [HostPort(host: "xmpp.jvb.meet.jitsi", port: 6222)])
        #expect(xmpp.domain == "auth.bridges")
        #expect(xmpp.brewery == "jvbbrewery@muc.jvb.meet.jitsi")
    }

    @Test func advertisedAddressesMayHavePortsAndBeIPv6() {
        let configuration = configuration(["JVB_ADVERTISE_IPS": "203.0.113.9, 203.0.113.10#20000,2001:db8::1#443"])
        #expect(
            configuration.advertised.map(\.description)
                == ["203.0.113.9", "203.0.113.10#20000", "2001:db8::1#443"])
    }

    @Test func theOldAddressVariableCountsOnlyWhereTheNewOneIsEmpty() {
        let old = ["DOCKER_HOST_ADDRESS": "192.0.2.1"]
        #expect(configuration(old).advertised.map(\.description) == ["192.0.2.1"])
        let both = old.merging(["JVB_ADVERTISE_IPS": "203.0.113.9"]) { $1 }
        #expect(configuration(both).advertised.map(\.description) == ["203.0.113.9"])
    }

    @Test func stunCanBeSwitchedOffWhateverTheServers() {
        #expect(configuration(["JVB_DISABLE_STUN": "1", "JVB_STUN_SERVERS": "stun.example:3478"]).stunServers.isEmpty)
    }

    @Test func webSocketDomainComesFromThePageUnlessSet() throws {
        let page = configuration(["ENABLE_COLIBRI_WEBSOCKET": "1", "PUBLIC_URL": "https://meet.example.com:8443/"])
        #expect(page.webSocket?.domains == ["meet.example.com:8443"])
        #expect(page.webSocket?.tls == true)
        let own = configuration([
            "ENABLE_COLIBRI_WEBSOCKET": "1", "PUBLIC_URL": "https://meet.example.com",
            "JVB_WS_DOMAIN": "jvb.example.com",
            "JVB_WS_TLS": "0", "JVB_WS_SERVER_ID": "jvb-1",
        ])
        #expect(own.webSocket?.domains == ["jvb.example.com"])
        #expect(own.webSocket?.tls == false)
        #expect(own.webSocket?.serverID == "jvb-1")
        #expect(configuration(["ENABLE_COLIBRI_WEBSOCKET": "1"]).problems.count == 1)
    }

    @Test func ignoredVariablesAreTold() {
        let ignored = configuration([
            "JVB_PROT": "1", "ENABLE_OCTO": "1", "JVB_TCP_PORT": "4443", "XMPP_DOMAIN": "x", "PATH": "/bin",
            "JVB_X": "",
        ]).ignored
        #expect(ignored.map(\.name) == ["ENABLE_OCTO", "JVB_PROT", "JVB_TCP_PORT", "XMPP_DOMAIN"])
        #expect(ignored.first { $0.name == "JVB_PROT" }?.reason.contains("JVB_PORT") == true)
    }

    @Test func reportShowsOriginsButNoPassword() {
        let report = configuration(["JVB_AUTH_PASSWORD": "hunter2", "JVB_PORT": "10001"]).report
        #expect(!report.contains("hunter2"))
        #expect(report.contains("(hidden)"))
        let line = report.split(separator: "\n").first { $0.hasPrefix("JVB_PORT ") }
        #expect(line?.contains("10001") == true)
        #expect(line?.hasSuffix("environment") == true)
        #expect(!"\(Secret(value: "hunter2"))".contains("hunter2"))
    }

    @Test func environmentIsReadAsTheKernelHasIt() {
        let bytes = Array("A=1\0B=x=y\0A=2\0noise\0C=\0".utf8)
        #expect(ProcessEnvironment.parse(bytes) == ["A": "1", "B": "x=y", "C": ""])
    }
}

@Suite struct HostLoadTests {
    @Test func stressIsBusyTimeAndStealBetweenSamples() throws {
        var load = HostLoad()
        #expect(load.stress(sample: "cpu  100 0 100 800 0 0 0 0 0 0") == nil)
        // 45 of 100 ticks busy, 10 of them steal.
        let stress = load.stress(sample: "cpu  120 5 110 850 5 0 0 10 0 0")
        #expect(try abs(#require(stress) - 0.5) < 1e-9)
    }

    @Test(arguments: ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h i j", "intr 1 2 3 4 5 6 7 8 9"])
    func noiseIsNoSample(line: String) {
        #expect(HostLoad.parse(line) == nil)
    }
}

@Suite struct LogFormatTests {
    private func line(_ message: String, _ metadata: Logger.Metadata = [:], _ format: LogFormat = LogFormat()) -> String
    {
        format.line(time: "T", level: .info, module: "M", message: message, metadata: metadata)
    }

    @Test func lineHasTimeLevelModuleMessageAndSortedFacts() {
        #expect(line("hello", ["b": "2", "a": "x y"]) == "T info M: hello a=\"x y\" b=2")
    }

    @Test func addressesAreRedactedUnlessAsked() throws {
        let ip = try #require(IPAddress("203.0.113.77"))
        let metadata: Logger.Metadata = ["remote": .address(TransportAddress(ip: ip, port: 4000))]
        #expect(!line("m", metadata).contains("113.77"))
        #expect(line("m", metadata).contains(":4000"))
        #expect(line("m", metadata, LogFormat(showsAddresses: true)).contains("203.0.113.77:4000"))
    }

    @Test func whatComesFromTheNetworkStaysOnItsLine() {
        let text = line("a\r\nb", ["name": "x\nlevel=critical \"q\""])
        #expect(!text.contains("\n"))
        #expect(!text.contains("\r"))
        #expect(text.hasSuffix("name=\"x level=critical \\\"q\\\"\""))
    }
}
