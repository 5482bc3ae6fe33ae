import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, from pixels on.
final class ImageClassificationTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await ImageClassification()
        try await checkGolden(ModelBundle.included(), kind: "image") { try await model.logits($0.image) }
    }

    func testImagesThatGoWrongFirst() async throws {
        let model = try await ImageClassification()
        let size = model.size
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".image") {
            let made = try model.prepared(try XCTUnwrap(tensors["\(number).image"]).image)
            XCTAssertEqual([made.height, made.width], [size.height, size.width], number)
        }
    }

    func testEveryLabelHasAScoreBestFirst() async throws {
        let model = try await ImageClassification()
        let found = try await model.classify([try XCTUnwrap(try goldenInputs()["0.image"]).image])[0]
        XCTAssertEqual(Set(found.map(\.name)), Set(model.labels))
        XCTAssertEqual(found.map(\.score), found.map(\.score).sorted(by: >))
    }
}
