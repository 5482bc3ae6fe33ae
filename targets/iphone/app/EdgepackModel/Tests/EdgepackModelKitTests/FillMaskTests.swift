import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, from texts on.
final class FillMaskTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await FillMask()
        try await checkGolden(ModelBundle.included(), kind: "text") { try await model.logits($0.texts[0]) }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await FillMask()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(model.ids(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testAMaskIsFilledBestFirst() async throws {
        let model = try await FillMask()
        let found = try await model.fill(["rain fell on \(model.mask) all day"])[0]
        XCTAssertEqual(found.count, 5)
        XCTAssertEqual(found.map(\.score), found.map(\.score).sorted(by: >))
    }
}
