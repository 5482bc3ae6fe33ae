import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, from samples on.
final class AudioClassificationTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await AudioClassification()
        try await checkGolden(ModelBundle.included(), kind: "audio") { try await model.logits($0.floats) }
    }

    func testASoundThatIsTooShortIsRefused() async throws {
        let model = try await AudioClassification()
        XCTAssertThrowsError(try model.prepared([0]))
    }
}
