// swift-tools-version: 6.2
// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every Swift target of the house is compiled the same way: Swift 6 mode, no warnings, memory unsafety spelled out.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]
let shim: [CSetting] = [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror", "-O2"])]

// Intel's multi-buffer crypto exists for x86-64 only; elsewhere its shim says so and OpenSSL does the work.
#if arch(x86_64)
    let multiBufferCrypto = ["IPSec_MB"]
#else
    let multiBufferCrypto: [String] = []
#endif

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: house)
}

func cShim(_ name: String, links libraries: [String] = []) -> Target {
    .target(name: name, cSettings: shim, linkerSettings: libraries.map { .linkedLibrary($0) })
}

let package = Package(
    name: "jvbd",
    products: [.executable(name: "jvbd", targets: ["jvbd"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    ],
    targets: [
        // The import table of the house (Tests/House checks it against the sources).
        module("RTP", []),
        module("SRTP", ["RTP", "COpenSSL", "CIPSecMB"]),
        module("ICE", ["RTP", "COpenSSL"]),
        module("DTLS", ["RTP", "COpenSSL"]),
        module("Colibri", ["RTP", "ICE", "DTLS", "CExpat", "COpenSSL"]),
        module("Bridge", ["RTP", "SRTP", "ICE", "DTLS", "Colibri"]),
        .executableTarget(
            name: "jvbd",
            dependencies: [
                "RTP", "SRTP", "ICE", "DTLS", "Colibri", "Bridge", "CLinux", "CUsrsctp",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            resources: [.embedInCode("Demo/meeting.html")],
            swiftSettings: house),

        // C shims: what Swift cannot see of the system's headers, one small target per library.
        cShim("COpenSSL", links: ["ssl", "crypto"]),
        cShim("CLinux"),
        cShim("CExpat", links: ["expat"]),
        cShim("CUsrsctp", links: ["usrsctp"]),
        cShim("CIPSecMB", links: multiBufferCrypto),
        // For tests and the test peer only: stacks that are not ours.
        cShim("CSRTP", links: ["srtp2"]),
        .systemLibrary(name: "CNiceLibrary", pkgConfig: "nice", providers: [.apt(["libnice-dev"])]),
        .target(name: "CNice", dependencies: ["CNiceLibrary"], cSettings: shim),
        .executableTarget(
            name: "jvbd-peer", dependencies: ["CNice", "CSRTP"], path: "Tests/Peer", cSettings: shim,
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

        tests("RTPTests", ["RTP"]),
        tests("SRTPTests", ["RTP", "SRTP", "CSRTP"]),
        tests("ICETests", ["RTP", "ICE", "CNice"]),
        tests("DTLSTests", ["RTP", "DTLS"], resources: [.copy("Fixtures")]),
        tests("ColibriTests", ["RTP", "ICE", "DTLS", "Colibri"], resources: [.copy("Fixtures")]),
        tests("BridgeTests", ["RTP", "SRTP", "ICE", "DTLS", "Colibri", "Bridge"]),
        tests("JvbdTests", ["jvbd"]),
        .testTarget(name: "HouseTests", path: "Tests/House", swiftSettings: house),
    ]
)
