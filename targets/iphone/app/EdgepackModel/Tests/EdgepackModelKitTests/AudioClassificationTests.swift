import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, from prepared sounds on.
final class AudioClassificationTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await AudioClassification()
        let kind = "input.\(model.audio.input)"  // sounds are WAV files, which apps read by AVFoundation
        try await checkGolden(ModelBundle.included(), kind: kind) { try await model.computed($0.floats) }
    }

    func testASoundThatIsTooShortIsRefused() async throws {
        let model = try await AudioClassification()
        XCTAssertThrowsError(try model.prepared([0]))
    }
}
