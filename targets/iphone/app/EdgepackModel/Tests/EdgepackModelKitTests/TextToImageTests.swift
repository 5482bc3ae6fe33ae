import XCTest

@testable import EdgepackModelKit

/// An image is made, and the same again. Apple's pipeline does not show its models, so no golden vectors are run.
final class TextToImageTests: XCTestCase {
    func testAnImageIsTheSameAgain() async throws {
        let model = try TextToImage()
        var options = TextToImage.Options()
        options.steps = 2
        let first = try await model.generate("a red chair", options: options)
        let again = try await model.generate("a red chair", options: options)
        XCTAssertGreaterThan(first.width, 0)
        XCTAssertEqual(first.dataProvider?.data, again.dataProvider?.data)
    }
}
