import XCTest

@testable import Search

/// The search, with a model of letters in the place of the real one.
final class IndexTests: XCTestCase {
    struct Letters: Embedder {
        func embed(_ texts: [String]) async throws -> [[Float]] {
            texts.map { text in "abcdefghijklmnopqrstuvwxyz".map { letter in Float(text.filter { $0 == letter }.count) } }
        }

        func similarity(_ a: [Float], _ b: [Float]) throws -> Float {
            -zip(a, b).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
        }
    }

    func testTheNearestNoteComesFirst() async throws {
        let index = try await Index(["zzz", "tyre", "bread"], embedder: Letters())
        let found = try await index.search("tyre", count: 2)
        XCTAssertEqual(found.map(\.note), ["tyre", "bread"])
    }
}
