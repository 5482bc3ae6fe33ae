import XCTest

@testable import EdgepackModelKit

/// Vectors as the original's, from pixels on.
final class ImageEmbeddingTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await ImageEmbedding()
        try await checkGolden(ModelBundle.included(), kind: "image") { try await model.embed([$0.image])[0] }
    }

    func testImagesThatGoWrongFirst() async throws {
        let model = try await ImageEmbedding()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".image") {
            let made = try model.prepared(try XCTUnwrap(tensors["\(number).image"]).image)
            XCTAssertEqual([made.height, made.width], [model.size.height, model.size.width], number)
        }
    }
}
